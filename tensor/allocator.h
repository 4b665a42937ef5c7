// tensor/allocator.h — a caching allocator: freed blocks are kept and reused by size.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <unordered_map>

#include "tensor/types.h"

namespace diptych {

struct MemoryStats {
  int64_t live_bytes = 0;       ///< asked for and not given back
  int64_t peak_bytes = 0;       ///< largest live_bytes since the last reset_peak()
  int64_t reserved_bytes = 0;   ///< taken from the system: live, what blocks are larger, cached
  int64_t raw_allocations = 0;  ///< calls that reached the system
};

/// Hands out blocks from a raw allocator and keeps what comes back, ordered by size: after the
/// first training step nothing reaches the system any more, and no page is faulted in twice.
/// Thread-safe. A block belongs to one stream (there is one), so reuse needs no events.
class CachingAllocator {
 public:
  using RawAlloc = void* (*)(size_t bytes);  ///< returns null when out of memory
  using RawFree = void (*)(void*);

  CachingAllocator(const char* name, RawAlloc, RawFree);
  ~CachingAllocator();
  CachingAllocator(const CachingAllocator&) = delete;
  CachingAllocator& operator=(const CachingAllocator&) = delete;

  /// At least `bytes` bytes, null for zero. Throws Error when the system has no more memory, after
  /// returning every cached block to it.
  void* allocate(int64_t bytes);
  void release(void* block) noexcept;

  /// For tests, and on from the start for host memory in builds without NDEBUG: every bit of a new
  /// block is set, so that a value nobody wrote is NaN as a float and -1 as an index, and 64 such
  /// bytes lie in front of and behind it. release() ends the process with a message if something
  /// wrote there. Only for memory that the host can write.
  void guard();

  /// What is cached beyond that many bytes goes back to the system, the largest block first. With 0
  /// nothing is cached and blocks are as large as asked for, which is what checkers of memory want.
  void keep_at_most(int64_t bytes);

  void trim();  ///< returns all cached blocks to the system
  MemoryStats stats() const;
  void reset_peak();

 private:
  struct Block {
    size_t size;   // of what the system gave
    size_t bytes;  // that were asked for
    size_t guard;  // bytes in front of the caller's
  };
  struct Memory {
    void* start = nullptr;
    size_t size = 0;
  };
  size_t size_class(size_t bytes) const;
  Memory reuse(size_t size);
  Memory obtain(size_t size);
  void check_guards(const void* block, const Block&) const noexcept;
  void trim_locked(size_t keep = 0);

  const char* name_;
  RawAlloc raw_alloc_;
  RawFree raw_free_;
  mutable std::mutex mutex_;
  bool guarded_ = false;
  size_t keep_;  // bytes in cached_, at most
  size_t cached_bytes_ = 0;
  std::multimap<size_t, void*> cached_;    // by size
  std::unordered_map<void*, Block> live_;  // by the caller's pointer
  MemoryStats stats_;
};

/// The allocator of a device. Throws Error if this build has no backend for it.
CachingAllocator& allocator(Device);

}  // namespace diptych
