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

}  // namespace

// After a failure nobody knows what of the lines is there, and half a line would spoil the next
// one: the file has to end where it did before.
bool LogFile::take_back(int fd) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return false;
  if (!S_ISREG(info.st_mode)) return true;  // a device gives nothing back
  if (whole_ < 0) whole_ = info.st_size;
  return whole_ == info.st_size || ::ftruncate(fd, whole_) == 0;
}

bool LogFile::try_append(const std::string& text) {
  // Not waiting: somebody may have put a pipe there.
  const int fd =
      ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644);
  if (fd < 0) return false;
  const bool written = take_back(fd) && write_all(fd, text.data(), text.size());
  const int reason = errno;
  if (!written) take_back(fd);
  const bool closed = ::close(fd) == 0;
  if (!written) errno = reason;
  if (written && closed) whole_ = -1;
  return written && closed;
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
