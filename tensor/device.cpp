// tensor/device.cpp — host memory, and the hooks a CUDA build plugs into.
#include "tensor/device.h"

#include <cstdlib>

#include "tensor/allocator.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace diptych {

#if defined(DIPTYCH_CUDA)
namespace cuda {  // cuda/memory.cpp
bool available();
void synchronize();
CachingAllocator& allocator();
void copy_across(const Tensor& source, Tensor& target);
}  // namespace cuda
#endif

namespace {

// Cache lines for small blocks; huge pages, where the kernel grants them, for large ones.
void* host_alloc(size_t bytes) {
  constexpr size_t kHugePage = size_t{2} << 20;
  const size_t alignment = bytes >= kHugePage ? kHugePage : 64;
  void* block = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
#if defined(__linux__)
  if (block && bytes >= kHugePage) madvise(block, bytes, MADV_HUGEPAGE);
#endif
  return block;
}

void host_free(void* block) { std::free(block); }

}  // namespace

CachingAllocator& allocator(Device device) {
#if defined(DIPTYCH_CUDA)
  if (device == Device::cuda) return cuda::allocator();
#endif
  check(device == Device::cpu, "allocator: this build has no ", device, " backend");
  // Never destroyed: tensors in static storage may outlive every other static.
  static auto* host = new CachingAllocator("cpu", host_alloc, host_free);
  return *host;
}

bool available(Device device) {
#if defined(DIPTYCH_CUDA)
  if (device == Device::cuda) return cuda::available();
#endif
  return device == Device::cpu;
}

void synchronize([[maybe_unused]] Device device) {
#if defined(DIPTYCH_CUDA)
  if (device == Device::cuda) cuda::synchronize();
#endif
}

void copy_across([[maybe_unused]] const Tensor& source, [[maybe_unused]] Tensor& target) {
#if defined(DIPTYCH_CUDA)
  cuda::copy_across(source, target);
#else
  fail("copy: this build has no cuda backend");
#endif
}

}  // namespace diptych
