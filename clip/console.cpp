// clip/console.cpp — writing to stdout and stderr.
#include "clip/console.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "tensor/types.h"

namespace diptych {
namespace {

bool loss_reported = false;

void require_written(bool ok) {
  if (ok || loss_reported) return;
  loss_reported = true;
  fail("stdout: the results could not be written: ", std::strerror(errno));
}

}  // namespace

void prepare_streams() {
  // A folder can neither be read nor written as a file, and there always is one. It takes the
  // lowest free number: that of the closed stream.
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/", O_RDONLY | O_DIRECTORY) < 0) ::_exit(1);
  }
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

void print(std::string_view text) {
  require_written(std::fwrite(text.data(), 1, text.size(), stdout) == text.size());
}

void finish_printing() {
  require_written(std::fflush(stdout) == 0 && !std::ferror(stdout));
  // Over a network the last failure is that of closing.
  const int copy = ::dup(STDOUT_FILENO);
  require_written(copy < 0 || ::close(copy) == 0);
}

void tell(std::string_view text) noexcept {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

double require_number(double x, const std::string& what) {
  check(std::isfinite(x), "result: ", what, " is ", x,
        ", no number; are the model's weights finite?");
  return x;
}

}  // namespace diptych
