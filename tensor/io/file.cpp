// tensor/io/file.cpp — reading files with bounds; the write, fsync, rename, fsync recipe.
#include "tensor/io/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "tensor/types.h"

namespace diptych {
namespace {

constexpr int64_t kBuffer = 1 << 16;    // small writes are gathered
constexpr int64_t kTransfer = 1 << 30;  // read and write move less than 2³¹ bytes a call
constexpr int kTemporaryNames = 1000;

std::string reason() { return std::strerror(errno); }

/// A file descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return fd_; }

 private:
  int fd_;
};

/// Never waits, as opening a pipe would, and never makes a terminal this process's own.
int open_to_read(const char* op, const std::string& path) {
  check(path.find('\0') == std::string::npos, op, ": the file name contains a NUL");
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  check(fd >= 0, op, ": cannot open '", path, "': ", reason());
  return fd;
}

/// Up to `bytes` bytes at `offset`; 0 at the end.
int64_t read_some(int fd, int64_t offset, char* out, int64_t bytes) {
  const auto most = static_cast<size_t>(std::min(bytes, kTransfer));
  for (;;) {
    const ssize_t n = ::pread(fd, out, most, offset);
    if (n >= 0 || errno != EINTR) return n;
  }
}

std::string directory_of(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

int64_t modified_at(const struct stat& info) {
  return int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
}

bool is_device_or_pipe(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode);
}

}  // namespace

bool is_file(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

bool is_folder(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

bool is_there(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0;
}

std::string read_file(const std::string& path, int64_t max_bytes) {
  return InputFile("read", path).read_all(max_bytes);
}

InputFile::InputFile(const char* op, const std::string& path)
    : op_(op), path_(path), fd_(open_to_read(op, path)) {
  struct stat info {};
  const bool ok = ::fstat(fd_, &info) == 0;
  if (ok && S_ISREG(info.st_mode)) {
    size_ = info.st_size;
    modified_ = modified_at(info);
    return;
  }
  const std::string why = !ok                     ? reason()
                          : S_ISDIR(info.st_mode) ? "is a directory"
                                                  : "is not a regular file";
  ::close(fd_);
  fail(op, ": '", path, "' ", why);
}

InputFile::~InputFile() { ::close(fd_); }

void InputFile::read_at(int64_t offset, void* out, int64_t bytes) const {
  check(offset >= 0 && bytes >= 0, op_, ": '", path_, "': negative position or size");
  for (int64_t done = 0; done < bytes;) {
    const int64_t n = read_some(fd_, offset + done, static_cast<char*>(out) + done, bytes - done);
    check(n >= 0, op_, ": '", path_, "': ", reason());
    check(n > 0, op_, ": '", path_, "' ends too early, at byte ", offset + done);
    done += n;
  }
}

std::string InputFile::read_all(int64_t max_bytes) const {
  const auto check_limit = [&](int64_t size) {
    check(size <= max_bytes, where(), " is larger than the limit of ", max_bytes, " bytes");
  };
  check_limit(size_);
  std::string bytes;
  // One byte more than there should be: reading it finds the end.
  for (int64_t filled = 0, room = size_ + 1;; room = std::max(2 * room, kBuffer)) {
    bytes.resize(static_cast<size_t>(room));
    while (filled < room) {
      const int64_t n = read_some(fd_, filled, bytes.data() + filled, room - filled);
      check(n >= 0, where(), ": ", reason());
      if (n == 0) {
        bytes.resize(static_cast<size_t>(filled));
        return bytes;
      }
      filled += n;
      check_limit(filled);
    }
  }
}

void InputFile::read_i32_at(int64_t offset, int64_t* out, int64_t count) const {
  constexpr int64_t kSize = sizeof(int32_t);
  char* narrow = reinterpret_cast<char*>(out) + count * kSize;  // the upper half of `out`
  read_at(offset, narrow, count * kSize);
  for (int64_t i = 0; i < count; ++i) {
    int32_t value;
    std::memcpy(&value, narrow + i * kSize, sizeof value);
    out[i] = value;
  }
}

void InputFile::check_unchanged() const {
  struct stat info {};
  check(::fstat(fd_, &info) == 0, where(), ": ", reason());
  check(info.st_size == size_ && modified_at(info) == modified_, where(),
        " was written to while it was read; try again");
}

FileWriter::FileWriter(const std::string& path) : path_(path) {
  if (!is_device_or_pipe(path) && ::access(path.c_str(), F_OK) == 0)
    note_ = "; the previous file is unchanged";
}

FileWriter::~FileWriter() {
  if (fd_ >= 0) ::close(fd_);
}

void FileWriter::require(bool ok) const { check(ok, "save: '", path_, "': ", reason(), note_); }

void FileWriter::write(const void* data, int64_t bytes) {
  if (bytes == 0) return;
  const char* from = static_cast<const char*>(data);
  if (bytes + static_cast<int64_t>(buffer_.size()) > kBuffer) flush();
  if (bytes >= kBuffer) {
    write_out(from, bytes);
  } else {
    buffer_.append(from, static_cast<size_t>(bytes));
  }
  position_ += bytes;
}

void FileWriter::overwrite(int64_t position, std::string_view bytes) {
  flush();
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), position);
    if (n < 0 && errno == EINTR) continue;
    require(n > 0);
    position += n;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

void FileWriter::flush() {
  write_out(buffer_.data(), static_cast<int64_t>(buffer_.size()));
  buffer_.clear();
}

void FileWriter::write_out(const char* data, int64_t bytes) {
  while (bytes > 0) {
    const ssize_t n = ::write(fd_, data, static_cast<size_t>(std::min(bytes, kTransfer)));
    if (n < 0 && errno == EINTR) continue;
    require(n >= 0);
    check(n > 0, "save: '", path_, "': nothing more can be written", note_);
    data += n;
    bytes -= n;
  }
}

/// The steps of one save. Destroyed before `commit` has renamed, it removes the temporary file.
class AtomicFile {
 public:
  explicit AtomicFile(const std::string& path)
      : path_(path), in_place_(is_device_or_pipe(path)), writer_(path) {
    check(path.find('\0') == std::string::npos, "save: the file name contains a NUL");
    writer_.fd_ = in_place_ ? ::open(path.c_str(), O_WRONLY | O_CLOEXEC) : open_temporary();
    writer_.require(writer_.fd_ >= 0);
  }
  ~AtomicFile() {
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
  }
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  FileWriter& writer() { return writer_; }

  void commit() {
    writer_.flush();
    writer_.require(in_place_ || ::fsync(writer_.fd_) == 0);
    writer_.require(::close(std::exchange(writer_.fd_, -1)) == 0);
    if (in_place_) return;
    writer_.require(::rename(temporary_.c_str(), path_.c_str()) == 0);
    temporary_.clear();
    flush_directory();
  }

 private:
  /// A new sibling of the file. Its name may be taken by another thread, or by a process of this
  /// id that died.
  int open_temporary() {
    const std::string stem = path_ + ".tmp-" + std::to_string(::getpid()) + "-";
    for (int i = 0; i < kTemporaryNames; ++i) {
      const std::string name = stem + std::to_string(i);
      const int fd = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (fd >= 0) temporary_ = name;
      if (fd >= 0 || errno != EEXIST) return fd;
    }
    fail("save: '", path_, "': too many left-over files ", stem, "*; delete them");
  }

  void flush_directory() const {
    const std::string directory = directory_of(path_);
    const Descriptor opened(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const bool ok = opened.get() >= 0 && (::fsync(opened.get()) == 0 || errno == EINVAL);
    check(ok, "save: '", path_, "' is written, but its directory cannot be flushed: ", reason());
  }

  std::string path_;
  std::string temporary_;
  bool in_place_;
  FileWriter writer_;
};

void write_file_atomically(const std::string& path, const std::function<void(FileWriter&)>& write) {
  AtomicFile file(path);
  write(file.writer());
  file.commit();
}

void write_file_atomically(const std::string& path, std::string_view bytes) {
  write_file_atomically(path, [&](FileWriter& out) { out.write(bytes); });
}

std::string in_quotes(std::string_view text) {
  size_t end = std::min<size_t>(text.size(), 80);
  while (end < text.size() && end > 0 && (text[end] & 0xc0) == 0x80) --end;  // not inside UTF-8
  const char* digits = "0123456789abcdef";
  std::string out = "'";
  for (const char c : text.substr(0, end)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      out += c;
    } else {
      out += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
    }
  }
  return out + (end < text.size() ? "…'" : "'");
}

}  // namespace diptych
