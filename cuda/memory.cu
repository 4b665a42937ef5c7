// cuda/memory.cu — device memory, page-locked host memory, and copies between the two.
#include <algorithm>
#include <cstring>
#include <memory>

#include "cuda/runtime.h"
#include "tensor/allocator.h"
#include "tensor/device.h"
#include "tensor/factory.h"
#include "tensor/kernels.h"

namespace diptych::cuda {
namespace {

// Null where there is no memory, which the allocator reports after it has tried again.
void* device_alloc(size_t bytes) {
  void* block = nullptr;
  const cudaError_t status = cudaMalloc(&block, bytes);
  if (status != cudaErrorMemoryAllocation) require(status, "cuda allocator");
  cudaGetLastError();
  return block;
}
#if defined(DIPTYCH_EMULATED)
// Nobody waits here, or lazy streams would not be lazy: on a GPU the block would go to the cache.
void device_free(void* block) { cudaFreeAsync(block, stream()); }
#else
void device_free(void* block) { cudaFree(block); }
#endif

void* page_locked_alloc(size_t bytes) {
  void* block = nullptr;
  const cudaError_t status = cudaMallocHost(&block, bytes);
  if (status != cudaErrorMemoryAllocation) require(status, "page-locked memory");
  cudaGetLastError();
  return block;
}
void page_locked_free(void* block) { cudaFreeHost(block); }

CachingAllocator* make_device_allocator() {
  stream();  // or an Error that says why there is none
  auto* made = new CachingAllocator("cuda", device_alloc, device_free);
#if defined(DIPTYCH_EMULATED)
  made->keep_at_most(0);  // the emulator watches every block
#endif
  return made;
}

/// Never destroyed, like all of this file's: tensors in static storage may outlive them.
CachingAllocator& page_locked_allocator() {
  static auto* made =
      new CachingAllocator("page-locked memory", page_locked_alloc, page_locked_free);
  return *made;
}

/// A mark on the stream, for the host to wait for.
class Event {
 public:
  Event() { require(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "event"); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void record() { require(cudaEventRecord(event_, stream()), "event"); }
  bool passed() const { return cudaEventQuery(event_) == cudaSuccess; }
  cudaError_t wait() noexcept { return cudaEventSynchronize(event_); }

 private:
  cudaEvent_t event_ = nullptr;
};

/// Host memory goes to the device through two page-locked buffers in turn: the host fills one while
/// the device still reads the other, and whoever uploads may forget his memory at once.
class Staging {
 public:
  void upload(const void* from, void* to, size_t bytes) {
    const auto* source = static_cast<const char*>(from);
    auto* target = static_cast<char*>(to);
    for (size_t done = 0; done < bytes; done += kMost) {
      const size_t n = std::min(kMost, bytes - done);
      send(source + done, target + done, n);
    }
  }

 private:
  static constexpr size_t kMost = size_t{256} << 20;
  struct Buffer {
    Tensor room = page_locked({0}, DType::u8);
    Event sent;
  };

  void send(const char* from, char* to, size_t bytes) {
    Buffer& buffer = buffers_[turn_ ^= 1];
    if (!buffer.sent.passed()) require(buffer.sent.wait(), "copy to the device");
    if (static_cast<size_t>(buffer.room.numel()) < bytes)
      buffer.room = page_locked({static_cast<int64_t>(bytes)}, DType::u8);
    std::memcpy(buffer.room.raw(), from, bytes);
    require(cudaMemcpyAsync(to, buffer.room.raw(), bytes, cudaMemcpyHostToDevice, stream()),
            "copy to the device");
    buffer.sent.record();
  }

  Buffer buffers_[2];
  int turn_ = 0;
};

size_t bytes_of(const Tensor& x) { return static_cast<size_t>(x.numel() * size_of(x.dtype())); }

// x and y: contiguous, alike but for the device.
void upload(const Tensor& x, const Tensor& y) {
  static auto* staging = new Staging;
  staging->upload(x.raw(), y.raw(), bytes_of(x));
}

void begin_download(const Tensor& x, const Tensor& y) {
  require(cudaMemcpyAsync(y.raw(), x.raw(), bytes_of(x), cudaMemcpyDeviceToHost, stream()),
          "copy from the device");
}

/// A copy under way. It keeps both ends, and waits at its end: nobody may get the memory before.
class Download {
 public:
  Download(const Tensor& source, const Tensor& target) : source_(source), target_(target) {
    begin_download(source, target);
    done_.record();
  }
  ~Download() { done_.wait(); }
  Download(const Download&) = delete;
  Download& operator=(const Download&) = delete;
  void wait() {
    require(done_.wait(), "copy from the device");
    check_index_report();
  }

 private:
  Tensor source_, target_;
  Event done_;
};

}  // namespace

CachingAllocator& allocator() {
  static CachingAllocator* made = make_device_allocator();
  return *made;
}

Tensor page_locked(Shape shape, DType dtype) {
  const int64_t bytes = shape.numel() * size_of(dtype);
  auto storage =
      std::make_shared<Storage>(page_locked_allocator().allocate(bytes), bytes, Device::cpu,
                                [](void* block) { page_locked_allocator().release(block); });
  return Tensor(std::move(storage), dtype, shape, contiguous_strides(shape), 0);
}

// What must be converted or packed is, on the device: fewer bytes travel, or it is faster there.
void copy_across(const Tensor& source, Tensor& target) {
  if (source.numel() == 0) return;
  if (target.device() == Device::cuda) {
    const Tensor packed = source.contiguous();
    const bool as_it_is = target.is_contiguous() && target.dtype() == source.dtype();
    Tensor there = as_it_is ? target : empty(source.shape(), source.dtype(), Device::cuda);
    upload(packed, there);
    if (!as_it_is) kernel::copy(Device::cuda, there, target);
  } else {
    const Tensor packed = source.to(target.dtype()).contiguous();
    Tensor here = target.is_contiguous() ? target : empty(target.shape(), target.dtype());
    begin_download(packed, here);
    synchronize();
    if (!target.is_contiguous()) kernel::copy(Device::cpu, here, target);
  }
}

std::function<void()> copy_to_host(const Tensor& source, Tensor& target) {
  return [pending = std::make_shared<Download>(source, target)] { pending->wait(); };
}

}  // namespace diptych::cuda
