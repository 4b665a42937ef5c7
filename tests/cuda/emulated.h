// tests/cuda/emulated.h — for tests of the emulator: arrays on the device, launches that may fail,
// and processes that may die.
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "cuda/emulator/emulator.h"
#include "cuda/launch.cuh"

namespace diptych::test {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kAsan = true, kTsan = false;
#elif defined(__SANITIZE_THREAD__)
constexpr bool kAsan = false, kTsan = true;
#else
constexpr bool kAsan = false, kTsan = false;
#endif

/// Other settings for a while; afterwards the emulator is as if nothing had happened.
class With {
 public:
  explicit With(emu::Settings settings) : before_(emu::settings()) { emu::settings() = settings; }
  ~With() {
    emu::reset();
    emu::settings() = before_;
  }
  With(const With&) = delete;

 private:
  emu::Settings before_;
};

inline void must(cudaError_t status) { cuda::require(status, "test"); }

/// n values in device memory.
template <class T>
class Array {
 public:
  explicit Array(const std::vector<T>& values) : Array(values.size()) {
    must(cudaMemcpyAsync(data_, values.data(), n_ * sizeof(T), cudaMemcpyHostToDevice,
                         cuda::stream()));
    must(cudaStreamSynchronize(cuda::stream()));
  }
  explicit Array(size_t n) : n_(n) { must(cudaMalloc(&data_, n * sizeof(T))); }
  ~Array() {
    emu::reset();
    cudaFree(data_);
  }
  Array(const Array&) = delete;
  operator T*() const { return data_; }
  std::vector<T> values() const {
    std::vector<T> here(n_);
    must(cudaMemcpyAsync(here.data(), data_, n_ * sizeof(T), cudaMemcpyDeviceToHost,
                         cuda::stream()));
    must(cudaStreamSynchronize(cuda::stream()));
    return here;
  }

 private:
  size_t n_;
  T* data_ = nullptr;
};

/// Launches, waits, and returns the report; empty if all went well.
template <class... Parameters, class... Args>
std::string report_of(void (*kernel)(Parameters...), const cuda::Grid& grid, Args&&... args) {
  emu::reset();
  try {
    cuda::launch("planted", kernel, grid, std::forward<Args>(args)...);
    must(cudaStreamSynchronize(cuda::stream()));
  } catch (const Error&) {
  }
  return emu::report();
}

inline bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// What a process that does this says on stderr, and " exit n" or " signal n" at the end.
template <class F>
std::string last_words(F act) {
  std::FILE* const said = std::tmpfile();
  std::cout.flush();
  const pid_t child = fork();
  if (child == 0) {
    dup2(fileno(said), STDERR_FILENO);
    dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
    act();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  std::string text(static_cast<size_t>(lseek(fileno(said), 0, SEEK_END)), ' ');
  if (pread(fileno(said), text.data(), text.size(), 0) < 0) text = "unreadable";
  std::fclose(said);
  return text + (WIFEXITED(status) ? " exit " + std::to_string(WEXITSTATUS(status))
                                   : " signal " + std::to_string(WTERMSIG(status)));
}

/// The same of a test case that others skip, in a process of its own: ThreadSanitizer does not see
/// everything in a forked one.
inline std::string last_words_of_test(const std::string& name, const std::string& order,
                                      const std::string& resident) {
  return last_words([&] {
    setenv("DIPTYCH_EMU_ORDER", order.c_str(), 1);
    setenv("DIPTYCH_EMU_RESIDENT", resident.c_str(), 1);
    execl("/proc/self/exe", "run_tests", "-ns", ("-tc=" + name).c_str(), nullptr);
  });
}

}  // namespace diptych::test
