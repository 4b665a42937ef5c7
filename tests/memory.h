// tests/memory.h — what a piece of code costs in memory. Not under sanitizers: they keep freed
// memory and shadow the rest, and the figure would be theirs.
#pragma once

#include <malloc.h>

#include <fstream>
#include <string>

#include "tensor/allocator.h"
#include "tensor/types.h"

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define DIPTYCH_MEASURES_MEMORY
#endif

namespace diptych::test {

/// A line of /proc/self/status, in bytes.
inline int64_t status_of(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(field)) return std::stoll(line.substr(field.size())) * 1024;
  fail("test: /proc/self/status has no ", field);
}

/// How much resident memory grows, at its peak, while f runs.
template <class F>
int64_t peak_growth(const F& f) {
  allocator(Device::cpu).trim();
  malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << 5;  // forgets the peak
  const int64_t before = status_of("VmRSS:");
  f();
  return status_of("VmHWM:") - before;
}

/// What malloc has given out and not got back, in bytes.
inline int64_t bytes_held() {
  const struct mallinfo2 info = mallinfo2();
  return static_cast<int64_t>(info.uordblks + info.hblkhd);
}

}  // namespace diptych::test
