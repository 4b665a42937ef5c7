// tests/limited.h — running code that may grow without end or hang, so that neither harms the test.
#pragma once

#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <string>

#include "tensor/parallel.h"
#include "tests/files.h"
#include "tests/memory.h"

namespace diptych::test {

/// What became of a piece of code.
struct Limited {
  std::string error;   ///< of the Error it threw; "died …" if it ended in any other way
  int64_t growth = 0;  ///< of resident memory at its peak, in bytes; 0 where it is not measured
  double seconds = 0;
};

inline constexpr unsigned kHangs = 120;  // seconds; what is tested here takes less than one

/// Runs f in a child process that gets `bytes` more of memory, and dies if it hangs.
template <class F>
Limited run_limited(int64_t bytes, const F& f) {
  int ends[2];
  check(pipe(ends) == 0, "test: no pipe");
  const auto begin = std::chrono::steady_clock::now();
  const pid_t child = fork();
  check(child >= 0, "test: no process");
  if (child == 0) {
    alarm(kHangs);
    const SerialScope serial;  // the threads of the pool are not here
    std::string error = "none";
    const auto run = [&] {
      try {
        f();
      } catch (const Error& e) {
        error = std::string("E") + e.what();
      } catch (const std::exception& e) {
        error = std::string("died of ") + e.what();
      }
    };
#ifdef DIPTYCH_MEASURES_MEMORY
    const auto most = static_cast<rlim_t>(status_of("VmData:") + bytes);
    const rlimit limit{most, most};
    setrlimit(RLIMIT_DATA, &limit);
    error += '\0' + std::to_string(peak_growth(run));
#else
    (void)bytes;
    run();
    error += std::string(1, '\0') + '0';
#endif
    _exit(write(ends[1], error.data(), error.size()) < 0);
  }
  close(ends[1]);
  std::string told;
  char buffer[4096];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;)
    told.append(buffer, static_cast<size_t>(n));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  Limited out;
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const size_t nul = told.find('\0');
  if (nul == told.npos || status != 0) {
    out.error = "died with status " + std::to_string(status);
    return out;
  }
  out.growth = std::stoll(told.substr(nul + 1));
  const std::string text = told.substr(0, nul);
  out.error = text == "none" ? "" : text[0] == 'E' ? text.substr(1) : text;
  return out;
}

}  // namespace diptych::test
