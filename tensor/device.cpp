// tensor/device.cpp — host memory, and the choice between backends.
#include "tensor/device.h"

#include <cstdlib>

#include "tensor/allocator.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace diptych {

namespace {

// Cache lines for small blocks; huge pages, where the kernel grants them, for large ones.
void* host_alloc(size_t bytes) {
  constexpr size_t kHugePage = size_t{2} << 20;
  const bool large = bytes >= kHugePage;
  const size_t size = large ? (bytes + kHugePage - 1) / kHugePage * kHugePage : bytes;
  void* block = nullptr;
  if (posix_memalign(&block, large ? kHugePage : 64, size) != 0) return nullptr;
#if defined(__linux__)
  if (large) madvise(block, bytes, MADV_HUGEPAGE);
#endif
  return block;
}

void host_free(void* block) { std::free(block); }

CachingAllocator* make_host_allocator() {
  auto* host = new CachingAllocator("cpu", host_alloc, host_free);
#if !defined(NDEBUG)
  host->guard();
#endif
  return host;
}

}  // namespace

CachingAllocator& allocator(Device device) {
  if (device == Device::cuda) return cuda::allocator();
  // Never destroyed: tensors in static storage may outlive every other static.
  static CachingAllocator* host = make_host_allocator();
  return *host;
}

bool available(Device device) { return device == Device::cpu || cuda::available(); }

void synchronize(Device device) {
  if (device == Device::cuda) cuda::synchronize();
}

void copy_across(const Tensor& source, Tensor& target) { cuda::copy_across(source, target); }

HostCopy::HostCopy(const Tensor& source) {
  if (source.device() == Device::cpu) {
    target_ = source.clone();
    return;
  }
  target_ = cuda::page_locked(source.shape(), source.dtype());
  wait_ = cuda::copy_to_host(source.contiguous(), target_);
}

const Tensor& HostCopy::wait() const {
  if (wait_) wait_();
  return target_;
}

}  // namespace diptych
