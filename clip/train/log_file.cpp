// clip/train/log_file.cpp — appending lines.
#include "clip/train/log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace diptych {
namespace {

bool write_all(int fd, const char* data, size_t bytes) {
  while (bytes > 0) {
    const ssize_t n = ::write(fd, data, bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    data += n;
    bytes -= static_cast<size_t>(n);
  }
  return true;
}

// Half a line would spoil the next one.
void take_back(int fd, int64_t size) {
  const int reason = errno;
  [[maybe_unused]] const int failed = ::ftruncate(fd, size);
  errno = reason;
}

}  // namespace

bool LogFile::try_append(const std::string& text) const {
  // Not waiting: somebody may have put a pipe there.
  const int fd =
      ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644);
  if (fd < 0) return false;
  struct stat before {};
  const bool written = ::fstat(fd, &before) == 0 && write_all(fd, text.data(), text.size());
  if (!written) take_back(fd, before.st_size);
  return (::close(fd) == 0) && written;
}

void LogFile::append(const std::string& text) {
  constexpr size_t kMostWaiting = size_t{16} << 20;
  ++lost_;
  if (waiting_.size() < kMostWaiting) {
    waiting_ += text;
    ++waiting_lines_;
  }
  flush();
}

void LogFile::flush() {
  if (waiting_.empty()) return;
  if (!try_append(waiting_)) {
    reason_ = std::strerror(errno);
    return;
  }
  lost_ -= std::exchange(waiting_lines_, 0);
  waiting_.clear();
}

}  // namespace diptych
