// tensor/allocator.cpp — size classes, reuse and statistics.
#include "tensor/allocator.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>

namespace diptych {
namespace {

// Sanitizers see a use after free only if freed memory is really freed, and a use beside a block
// only if the block is no larger than asked for.
constexpr size_t kKeep =
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    0;
#else
    SIZE_MAX;
#endif

// AddressSanitizer lays guards of its own, and knows who wrote there.
constexpr size_t kGuard =
#if defined(__SANITIZE_ADDRESS__)
    0;
#else
    64;
#endif

constexpr unsigned char kUnwritten = 0xff;

}  // namespace

// Sizes are rounded up to eight steps per power of two, so that batches of slightly different
// length (ragged text) find each other's blocks: at most 12.5 % is wasted.
size_t CachingAllocator::size_class(size_t bytes) const {
  constexpr size_t kSmallest = 64;
  if (keep_ == 0) return bytes;
  if (bytes <= kSmallest) return kSmallest;
  const size_t step = std::max(kSmallest, std::bit_floor(bytes - 1) / 8);
  return (bytes + step - 1) / step * step;
}

CachingAllocator::CachingAllocator(const char* name, RawAlloc raw_alloc, RawFree raw_free)
    : name_(name), raw_alloc_(raw_alloc), raw_free_(raw_free), keep_(kKeep) {}

CachingAllocator::~CachingAllocator() { trim(); }

void CachingAllocator::guard() {
  const std::lock_guard lock(mutex_);
  guarded_ = true;
}

void CachingAllocator::keep_at_most(int64_t bytes) {
  const std::lock_guard lock(mutex_);
  keep_ = static_cast<size_t>(bytes);
  trim_locked(keep_);
}

CachingAllocator::Memory CachingAllocator::reuse(size_t size) {
  const auto it = cached_.lower_bound(size);
  if (it == cached_.end() || it->first > 2 * size) return {};
  const Memory found{it->second, it->first};
  cached_.erase(it);
  cached_bytes_ -= found.size;
  return found;
}

CachingAllocator::Memory CachingAllocator::obtain(size_t size) {
  if (const Memory found = reuse(size); found.start) return found;
  void* start = raw_alloc_(size);
  if (!start) {
    trim_locked();
    start = raw_alloc_(size);
  }
  check(start != nullptr, name_, " allocator: out of memory: asked for ", size >> 20, " MiB with ",
        stats_.live_bytes >> 20, " MiB in use; a smaller batch may fit");
  stats_.reserved_bytes += static_cast<int64_t>(size);
  ++stats_.raw_allocations;
  return {start, size};
}

void* CachingAllocator::allocate(int64_t bytes) {
  if (bytes == 0) return nullptr;
  constexpr int64_t kAddresses = int64_t{1} << 48;  // no process has more
  check(bytes > 0 && bytes < kAddresses, name_, " allocator: impossible size: ", bytes, " bytes");
  const std::lock_guard lock(mutex_);
  const size_t asked = static_cast<size_t>(bytes), guard = guarded_ ? kGuard : 0;
  const Memory memory = obtain(size_class(asked) + 2 * guard);
  if (guarded_) std::memset(memory.start, kUnwritten, memory.size);
  void* block = static_cast<char*>(memory.start) + guard;
  live_[block] = {memory.size, asked, guard};
  stats_.live_bytes += bytes;
  stats_.peak_bytes = std::max(stats_.peak_bytes, stats_.live_bytes);
  return block;
}

void CachingAllocator::check_guards(const void* block, const Block& b) const noexcept {
  const auto* begin = static_cast<const unsigned char*>(block) - b.guard;
  const auto damaged = [](const unsigned char* from, const unsigned char* to) {
    return std::any_of(from, to, [](unsigned char byte) { return byte != kUnwritten; });
  };
  const bool before = damaged(begin, begin + b.guard);
  if (!before && !damaged(begin + b.guard + b.bytes, begin + b.size)) return;
  std::fprintf(stderr, "%s allocator: something wrote %s a block of %zu bytes\n", name_,
               before ? "in front of" : "behind", b.bytes);
  std::abort();
}

void CachingAllocator::release(void* block) noexcept {
  if (!block) return;
  const std::lock_guard lock(mutex_);
  const auto it = live_.find(block);
  const Block b = it->second;
  live_.erase(it);
  if (b.guard > 0) check_guards(block, b);
  void* start = static_cast<char*>(block) - b.guard;
  stats_.live_bytes -= static_cast<int64_t>(b.bytes);
  cached_.emplace(b.size, start);
  cached_bytes_ += b.size;
  trim_locked(keep_);
}

void CachingAllocator::trim_locked(size_t keep) {
  while (cached_bytes_ > keep) {
    const auto largest = std::prev(cached_.end());
    raw_free_(largest->second);
    cached_bytes_ -= largest->first;
    stats_.reserved_bytes -= static_cast<int64_t>(largest->first);
    cached_.erase(largest);
  }
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
