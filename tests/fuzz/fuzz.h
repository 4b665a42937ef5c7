// tests/fuzz/fuzz.h — what the fuzz targets share. `make fuzz` runs them, `make test` replays their
// corpus.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "tensor/types.h"

namespace diptych::test {

/// Bytes as a file that needs no disk.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view bytes) : fd_(memfd_create("fuzz", MFD_CLOEXEC)) {
    const auto count = static_cast<ssize_t>(bytes.size());
    check(fd_ >= 0 && write(fd_, bytes.data(), bytes.size()) == count, "test: cannot write");
  }
  ~MemoryFile() { close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

/// Hands the input to a reader, which may refuse it with an Error; anything else is a bug.
template <class F>
int survives(const uint8_t* data, size_t size, const F& read) {
  try {
    read(std::string_view(reinterpret_cast<const char*>(data), size));
  } catch (const Error&) {
  }
  return 0;
}

}  // namespace diptych::test
