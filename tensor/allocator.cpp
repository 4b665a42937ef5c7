// tensor/allocator.cpp — size classes, reuse and statistics.
#include "tensor/allocator.h"

#include <bit>

namespace diptych {
namespace {

// Sizes are rounded up to eight steps per power of two, so that batches of slightly different
// length (ragged text) find each other's blocks: at most 12.5 % is wasted.
size_t size_class(size_t bytes) {
  constexpr size_t kSmallest = 64;
  if (bytes <= kSmallest) return kSmallest;
  const size_t step = std::max(kSmallest, std::bit_floor(bytes - 1) / 8);
  return (bytes + step - 1) / step * step;
}

// Sanitizers see a use after free only if freed memory is really freed.
constexpr bool kCache =
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    false;
#else
    true;
#endif

}  // namespace

CachingAllocator::CachingAllocator(const char* name, RawAlloc raw_alloc, RawFree raw_free)
    : name_(name), raw_alloc_(raw_alloc), raw_free_(raw_free) {}

CachingAllocator::~CachingAllocator() { trim(); }

void* CachingAllocator::reuse(size_t bytes) {
  const auto it = cached_.lower_bound(bytes);
  if (it == cached_.end() || it->first > 2 * bytes) return nullptr;
  void* block = it->second;
  live_[block] = it->first;
  cached_.erase(it);
  return block;
}

void* CachingAllocator::allocate(int64_t bytes) {
  if (bytes == 0) return nullptr;
  check(bytes > 0 && bytes < (int64_t{1} << 60), name_, " allocator: impossible size: ", bytes,
        " bytes");
  const size_t size = size_class(static_cast<size_t>(bytes));
  const std::lock_guard lock(mutex_);
  void* block = reuse(size);
  if (!block) {
    block = raw_alloc_(size);
    if (!block) {
      trim_locked();
      block = raw_alloc_(size);
    }
    check(block != nullptr, name_, " allocator: out of memory: asked for ", size >> 20,
          " MiB with ", stats_.live_bytes >> 20, " MiB in use; a smaller batch may fit");
    live_[block] = size;
    stats_.reserved_bytes += static_cast<int64_t>(size);
    ++stats_.raw_allocations;
  }
  stats_.live_bytes += static_cast<int64_t>(live_[block]);
  stats_.peak_bytes = std::max(stats_.peak_bytes, stats_.live_bytes);
  return block;
}

void CachingAllocator::release(void* block) noexcept {
  if (!block) return;
  const std::lock_guard lock(mutex_);
  const auto it = live_.find(block);
  const size_t size = it->second;
  live_.erase(it);
  stats_.live_bytes -= static_cast<int64_t>(size);
  if (kCache) {
    cached_.emplace(size, block);
  } else {
    raw_free_(block);
    stats_.reserved_bytes -= static_cast<int64_t>(size);
  }
}

void CachingAllocator::trim_locked() {
  for (const auto& [size, block] : cached_) {
    raw_free_(block);
    stats_.reserved_bytes -= static_cast<int64_t>(size);
  }
  cached_.clear();
}

void CachingAllocator::trim() {
  const std::lock_guard lock(mutex_);
  trim_locked();
}

MemoryStats CachingAllocator::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

void CachingAllocator::reset_peak() {
  const std::lock_guard lock(mutex_);
  stats_.peak_bytes = stats_.live_bytes;
}

}  // namespace diptych
