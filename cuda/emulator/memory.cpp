// cuda/emulator/memory.cpp — device memory: blocks between guard bytes in one range of addresses
// that is given out once only, so that freed memory is never there again. Sanitizers, which have
// better means, see blocks of the heap instead.
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>

#include "cuda/emulator/fiber.h"
#include "cuda/emulator/internal.h"

namespace emu {
namespace {

constexpr size_t kPage = 4096, kGuard = 256,
                 kChecked = 64;             // bytes on either side; those looked at
constexpr size_t kRange = size_t{1} << 42;  // of addresses
constexpr size_t kDeviceBytes = size_t{1} << 34;

struct Memory {
  char* range = nullptr;
  size_t used = 0;                 // of the range
  std::map<char*, size_t> blocks;  // start: bytes
  size_t allocated = 0;
  std::map<void*, size_t> pinned;
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

size_t pages(size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }
size_t footprint(size_t bytes) { return pages(bytes + 2 * kGuard); }

void allow(void* start, size_t bytes, int protection) {
  if (bytes && mprotect(start, bytes, protection) != 0) {
    std::perror("emulator: mprotect");
    std::abort();
  }
}

char* from_range(size_t bytes) {
  if (!m.range) {
    void* range =
        mmap(nullptr, kRange, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) return nullptr;
    m.range = static_cast<char*>(range);
  }
  const size_t size = footprint(bytes);
  if (m.used + size > kRange) return nullptr;
  char* const start = m.range + m.used;
  m.used += size;
  allow(start, size, PROT_READ | PROT_WRITE);
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

// Says so if something was written there, once.
bool whole(char* guard, const std::string& user, const char* where, size_t bytes) {
  if (std::all_of(guard, guard + kChecked, [](char c) { return c == '\xff'; })) return true;
  std::memset(guard, 0xff, kChecked);
  tell(user + ": wrote " + where + " a block of " + std::to_string(bytes) + " bytes");
  return false;
}

bool block_is_whole(const std::string& user, char* block, size_t bytes) {
  if (on_heap()) return true;
  const bool before = whole(block - kChecked, user, "before", bytes);
  return whole(block + bytes, user, "past the end of", bytes) && before;
}

void give_back(char* block, size_t bytes) {
  if (on_heap()) return std::free(block);
  madvise(block - kGuard, footprint(bytes), MADV_DONTNEED);
  allow(block - kGuard, footprint(bytes), PROT_NONE);
}

const void* end_of(const std::pair<void* const, size_t>& block) {
  return static_cast<char*>(block.first) + block.second;
}

// The block that p lies in; a block is not "in" its end.
auto block_of(const void* p) {
  const auto after = m.blocks.upper_bound(static_cast<char*>(const_cast<void*>(p)));
  if (after == m.blocks.begin()) return m.blocks.end();
  const auto block = std::prev(after);
  return p < block->first + block->second ? block : m.blocks.end();
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

bool guards_are_whole(const std::string& user) {
  const Open open;
  bool all = true;
  for (const auto& [block, bytes] : m.blocks) all &= block_is_whole(user, block, bytes);
  return all;
}

size_t extent(const void* p) {
  const Lock lock(mutex());
  const auto block = block_of(p);
  if (block == m.blocks.end()) return 0;
  return static_cast<size_t>(block->first + block->second - static_cast<const char*>(p));
}

size_t allocated_bytes() {
  const Lock lock(mutex());
  return m.allocated;
}

namespace {
cudaError_t release(const char* caller, void* start) {
  if (!start) return cudaSuccess;
  const auto block = m.blocks.find(static_cast<char*>(start));
  if (block == m.blocks.end()) {
    tell(std::string(caller) + ": not the start of a block of device memory");
    return cudaErrorInvalidValue;
  }
  const Open open;
  const size_t bytes = block->second;
  if (!block_is_whole(caller, block->first, bytes)) sticky() = cudaErrorIllegalAddress;
  m.blocks.erase(block);
  m.allocated -= bytes;
  give_back(static_cast<char*>(start), bytes);
  return sticky();
}
}  // namespace
}  // namespace emu

using namespace emu;

cudaError_t cudaMalloc(void** block, size_t bytes) {
  const Lock lock(mutex());
  *block = nullptr;
  if (sticky()) return result(sticky());
  if (bytes == 0) return cudaSuccess;
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

// Waits for all work, as the real one does.
cudaError_t cudaFree(void* block) {
  const Lock lock(mutex());
  drain(true);
  if (sticky()) return result(sticky());
  return result(release("cudaFree", block));
}

cudaError_t cudaFreeAsync(void* block, cudaStream_t stream) {
  return queue("cudaFreeAsync", stream, [block] { release("cudaFreeAsync", block); });
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *total = kDeviceBytes;
  *free = kDeviceBytes - allocated_bytes();
  return cudaSuccess;
}

cudaError_t cudaHostAlloc(void** block, size_t bytes, unsigned) {
  const Lock lock(mutex());
  if (sticky()) return result(sticky());
  *block = bytes ? from_heap(bytes) : nullptr;
  if (bytes && !*block) return result(cudaErrorMemoryAllocation);
  if (bytes) m.pinned[*block] = bytes;
  return cudaSuccess;
}

cudaError_t cudaMallocHost(void** block, size_t bytes) {
  return cudaHostAlloc(block, bytes, cudaHostAllocDefault);
}

cudaError_t cudaFreeHost(void* block) {
  const Lock lock(mutex());
  drain(true);
  if (!block) return cudaSuccess;
  if (m.pinned.erase(block) == 0) {
    tell("cudaFreeHost: not the start of a block of pinned memory");
    return result(cudaErrorInvalidValue);
  }
  std::free(block);
  return cudaSuccess;
}

cudaError_t cudaHostGetDevicePointer(void** device, void* host, unsigned) {
  const Lock lock(mutex());
  const auto after = m.pinned.upper_bound(host);
  if (after == m.pinned.begin() || host >= end_of(*std::prev(after))) {
    tell("cudaHostGetDevicePointer: not in a block of pinned memory");
    return result(cudaErrorInvalidValue);
  }
  *device = host;
  return cudaSuccess;
}
