// cuda/emulator/shared_memory.h — the memory that the threads of one block share.
#pragma once

#include <cstddef>

namespace emu {

constexpr size_t kMostStatic = 48 * 1024, kMostDynamic = 227 * 1024;  // as on an H100

/// Everything in it is NaN when a block starts, and lies between red zones.
class SharedMemory {
 public:
  SharedMemory();
  void start(size_t dynamic_bytes);
  /// Null if there is no room for another one.
  void* variable(const char* tag, const char* name, size_t bytes, size_t alignment);
  void* dynamic() const { return variables_[0].start; }
  /// The name of a variable beside which something was written, or null.
  const char* end();
  size_t static_bytes() const { return static_bytes_; }

 private:
  struct Variable {
    const char *tag, *name;
    char* start;
    size_t bytes;
  };
  void add(const char* tag, const char* name, char* start, size_t bytes);

  static constexpr int kMost = 17;
  Variable variables_[kMost];  // the dynamic one first
  int count_ = 0;
  size_t static_bytes_ = 0;
  char* memory_;
};

}  // namespace emu
