// cuda/emulator/shared_memory.cpp — variables of a block, between red zones. Compiled without
// -fsanitize=thread, and fills without memset, which ThreadSanitizer would see.
#include "cuda/emulator/shared_memory.h"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(start, bytes)
#define ASAN_UNPOISON_MEMORY_REGION(start, bytes)
#endif

namespace emu {
namespace {

constexpr size_t kRedZone = 64, kRoom = kMostStatic + kMostDynamic + 64 * 1024;

void fill(char* start, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) start[i] = '\xff';
}

bool untouched(const char* start) {
  for (size_t i = 0; i < kRedZone; ++i)
    if (start[i] != '\xff') return false;
  return true;
}

}  // namespace

SharedMemory::SharedMemory() {
  void* memory = mmap(nullptr, kRoom, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) std::abort();
  memory_ = static_cast<char*>(memory);
}

void SharedMemory::start(size_t dynamic_bytes) {
  ASAN_UNPOISON_MEMORY_REGION(memory_, kRoom);
  count_ = 0;
  static_bytes_ = 0;
  add(nullptr, "dynamic shared memory", memory_ + kRedZone, dynamic_bytes);
}

void* SharedMemory::variable(const char* tag, const char* name, size_t bytes, size_t alignment) {
  for (int i = 1; i < count_; ++i)
    if (variables_[i].tag == tag) return variables_[i].start;
  static_bytes_ += bytes;
  if (count_ == kMost || static_bytes_ > kMostStatic) return nullptr;
  const Variable& last = variables_[count_ - 1];
  const size_t end = static_cast<size_t>(last.start - memory_) + last.bytes + 2 * kRedZone;
  const size_t step = alignment > kRedZone ? alignment : kRedZone;
  add(tag, name, memory_ + (end + step - 1) / step * step, bytes);
  return variables_[count_ - 1].start;
}

void SharedMemory::add(const char* tag, const char* name, char* start, size_t bytes) {
  fill(start - kRedZone, bytes + 2 * kRedZone);
  ASAN_POISON_MEMORY_REGION(start - kRedZone, kRedZone);
  ASAN_POISON_MEMORY_REGION(start + bytes, kRedZone);
  variables_[count_++] = {tag, name, start, bytes};
}

const char* SharedMemory::end() {
  ASAN_UNPOISON_MEMORY_REGION(memory_, kRoom);
  for (int i = 0; i < count_; ++i) {
    const Variable& variable = variables_[i];
    if (!untouched(variable.start - kRedZone) || !untouched(variable.start + variable.bytes))
      return variable.name;
  }
  return nullptr;
}

}  // namespace emu
