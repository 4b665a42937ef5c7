// cuda/emulator/memory.cpp — device memory: blocks between guard bytes, in one range of addresses
// that are given out once only, so that freed memory is never there again. Sanitizers, which have
// better means, see blocks of the heap instead.
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>

#include "cuda/emulator/fiber.h"
#include "cuda/emulator/internal.h"

namespace emu {
namespace {

constexpr size_t kPage = 4096, kRange = size_t{1} << 42, kDeviceBytes = size_t{1} << 34;
constexpr size_t kGuard = 256, kChecked = 64;  // bytes on either side, and those looked at

struct Memory {
  char* range = nullptr;
  size_t used = 0;                 // of the range
  std::map<char*, size_t> blocks;  // start: bytes
  size_t allocated = 0;
  std::set<void*> pinned;
  int open = 0;  // Open objects
  bool closed = false;
};
Memory& m = *new Memory;  // never destroyed: tensors in static storage may outlive it

bool on_heap() {
#if defined(__SANITIZE_ADDRESS__)
  return true;
#else
  return under_thread_sanitizer();
#endif
}

size_t footprint(size_t bytes) { return (bytes + 2 * kGuard + kPage - 1) / kPage * kPage; }

void allow(char* start, size_t bytes, int protection) {
  if (!bytes || mprotect(start, bytes, protection) == 0) return;
  std::perror("emulator: mprotect");
  std::abort();
}

char* from_range(size_t bytes) {
  if (!m.range) {
    constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void* const range = mmap(nullptr, kRange, PROT_NONE, kFlags, -1, 0);
    if (range == MAP_FAILED) return nullptr;
    m.range = static_cast<char*>(range);
  }
  char* const start = m.range + m.used;
  if (footprint(bytes) > kRange - m.used) return nullptr;
  m.used += footprint(bytes);
  allow(start, footprint(bytes), PROT_READ | PROT_WRITE);
  return start + kGuard;
}

char* from_heap(size_t bytes) {
  void* block = nullptr;
  return posix_memalign(&block, 256, bytes) == 0 ? static_cast<char*>(block) : nullptr;
}

// Every bit set: NaN as a float of any size, -1 as an integer.
void fill(char* block, size_t bytes) {
  const size_t guard = on_heap() ? 0 : kGuard;
  std::memset(block - guard, 0xff, bytes + 2 * guard);
}

void check_guard(char* guard, const std::string& user, const char* where, size_t bytes) {
  if (std::all_of(guard, guard + kChecked, [](char c) { return c == '\xff'; })) return;
  std::memset(guard, 0xff, kChecked);
  tell(user + ": wrote " + where + " a block of " + std::to_string(bytes) + " bytes");
  sticky() = cudaErrorIllegalAddress;
}

void check_guards_of(char* block, size_t bytes, const std::string& user) {
  if (on_heap()) return;
  check_guard(block - kChecked, user, "before", bytes);
  check_guard(block + bytes, user, "past the end of", bytes);
}

cudaError_t misused(const char* what) {
  tell(what);
  return result(cudaErrorInvalidValue);
}

cudaError_t give_back(void* start) {
  if (!start) return cudaSuccess;
  const auto known = m.blocks.find(static_cast<char*>(start));
  if (known == m.blocks.end()) return misused("cudaFree: not the start of a block");
  const Open open;
  const auto [block, bytes] = *known;
  check_guards_of(block, bytes, "cudaFree");
  m.blocks.erase(known);
  m.allocated -= bytes;
  if (on_heap()) {
    std::free(block);
  } else {
    madvise(block - kGuard, footprint(bytes), MADV_DONTNEED);
    allow(block - kGuard, footprint(bytes), PROT_NONE);
  }
  return result(sticky());
}

}  // namespace

Open::Open() {
  if (m.open++ > 0 || !m.closed) return;
  allow(m.range, m.used, PROT_READ | PROT_WRITE);
  m.closed = false;
}
Open::~Open() {
  if (--m.open > 0 || !settings().protect || !m.range) return;
  allow(m.range, m.used, PROT_NONE);
  m.closed = true;
  watch_for_faults();
}

bool in_device_memory(const void* p) { return m.range && m.range <= p && p < m.range + m.used; }

void check_guards(const std::string& user) {
  for (const auto& [block, bytes] : m.blocks) check_guards_of(block, bytes, user);
}

size_t extent(const void* p) {
  const Lock lock(mutex());
  const auto after = m.blocks.upper_bound(static_cast<char*>(const_cast<void*>(p)));
  if (after == m.blocks.begin()) return 0;
  const auto& [block, bytes] = *std::prev(after);
  const auto offset = static_cast<size_t>(static_cast<const char*>(p) - block);
  return offset < bytes ? bytes - offset : 0;
}

size_t allocated_bytes() {
  const Lock lock(mutex());
  return m.allocated;
}

}  // namespace emu

using namespace emu;

cudaError_t cudaMalloc(void** block, size_t bytes) {
  const Lock lock(mutex());
  *block = nullptr;
  if (sticky() || bytes == 0) return result(sticky());
  if (bytes > kDeviceBytes - m.allocated) drain(true);  // blocks may be waiting for their release
  if (bytes > kDeviceBytes - m.allocated) return result(cudaErrorMemoryAllocation);
  const Open open;
  char* const start = on_heap() ? from_heap(bytes) : from_range(bytes);
  if (!start) return result(cudaErrorMemoryAllocation);
  fill(start, bytes);
  m.blocks[start] = bytes;
  m.allocated += bytes;
  *block = start;
  return cudaSuccess;
}

// Waits for all work, as the real one does; the other takes its turn in a stream.
cudaError_t cudaFree(void* block) {
  const Lock lock(mutex());
  drain(true);
  return sticky() ? result(sticky()) : give_back(block);
}
cudaError_t cudaFreeAsync(void* block, cudaStream_t stream) {
  return queue(stream, [block] { give_back(block); });
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *total = kDeviceBytes;
  *free = kDeviceBytes - allocated_bytes();
  return cudaSuccess;
}

cudaError_t cudaHostAlloc(void** block, size_t bytes, unsigned) {
  const Lock lock(mutex());
  *block = nullptr;
  if (sticky() || bytes == 0) return result(sticky());
  *block = from_heap(bytes);
  if (!*block) return result(cudaErrorMemoryAllocation);
  m.pinned.insert(*block);
  return cudaSuccess;
}
cudaError_t cudaMallocHost(void** block, size_t bytes) {
  return cudaHostAlloc(block, bytes, cudaHostAllocDefault);
}

cudaError_t cudaFreeHost(void* block) {
  const Lock lock(mutex());
  drain(true);
  if (block && m.pinned.erase(block) == 0) return misused("cudaFreeHost: not a pinned block");
  std::free(block);
  return cudaSuccess;
}

// Kernels reach pinned memory where it is.
cudaError_t cudaHostGetDevicePointer(void** device, void* host, unsigned) {
  const Lock lock(mutex());
  if (!m.pinned.count(host)) return misused("cudaHostGetDevicePointer: not a pinned block");
  *device = host;
  return cudaSuccess;
}
