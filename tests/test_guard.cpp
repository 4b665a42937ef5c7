// tests/test_guard.cpp — what the tests rely on to see a kernel that writes too little or too much:
// tests/main.cpp turns it on.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>

#include "tensor/allocator.h"
#include "tensor/factory.h"
#include "tests/files.h"

using namespace diptych;
using namespace diptych::test;

TEST_CASE("guard: what nobody wrote is NaN as a float and -1 as an index, reused memory too") {
  for (int round = 0; round < 2; ++round) {
    for (const DType dtype : {DType::f32, DType::f64, DType::f16, DType::bf16}) {
      Tensor x = empty({70}, dtype);
      for (const double value : x.to_vector<double>()) CHECK(std::isnan(value));
      x.fill_(1);
    }
    Tensor index = empty({70}, DType::i64);
    for (const int64_t value : index.to_vector<int64_t>()) CHECK(value == -1);
    index.fill_(0);
  }
}

#if !defined(__SANITIZE_ADDRESS__)  // it has guards of its own, and stops at the write itself

namespace {

/// What a process says on stderr in which something writes a byte at `offset` into a block of 100
/// bytes; empty if it ends well.
std::string last_words(int64_t offset) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGABRT, SIG_DFL);
    dup2(ends[1], STDERR_FILENO);
    const Tensor x = empty({100}, DType::u8);
    x.data<uint8_t>()[offset] = 7;
    allocator(Device::cpu).release(x.raw());
    _exit(0);
  }
  close(ends[1]);
  std::string text(200, '\0');
  const ssize_t length = read(ends[0], text.data(), text.size());
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) == (length > 0));
  return text.substr(0, static_cast<size_t>(std::max<ssize_t>(length, 0)));
}

}  // namespace

TEST_CASE("guard: a write beside a block ends the process with its size; inside, nothing happens") {
  CHECK(last_words(0).empty());
  CHECK(last_words(99).empty());
  CHECK(contains(last_words(100), "wrote behind a block of 100 bytes"));
  CHECK(contains(last_words(160), "wrote behind a block of 100 bytes"));
  CHECK(contains(last_words(-1), "wrote in front of a block of 100 bytes"));
}

#endif
