// tensor/device.h — which backends this process can use, and copies between them.
#pragma once

#include <functional>

#include "tensor/tensor.h"

namespace diptych {

class CachingAllocator;

bool available(Device);    ///< this build has the backend and the machine has the device
void synchronize(Device);  ///< waits for queued work; nothing to wait for on the cpu

/// Copies between devices; same shape, dtypes may differ. Throws Error if a backend is missing.
void copy_across(const Tensor& source, Tensor& target);

/// A tensor on its way to the host, while the device goes on with what is queued. It is what the
/// tensor was at this point of the queue; from the cpu it is there at once.
class HostCopy {
 public:
  explicit HostCopy(const Tensor&);
  /// Waits for it → on the cpu, contiguous, of the same shape and dtype.
  const Tensor& wait() const;

 private:
  Tensor target_;
  std::function<void()> wait_;
};

/// What a backend consists of besides its kernels; the link chooses, as for kernels.
namespace cuda {
bool available();
const char* why_not();  ///< where it is not: the reason, and what to do
void synchronize();
CachingAllocator& allocator();
void copy_across(const Tensor& source, Tensor& target);
/// Queues a copy to page-locked host memory; both contiguous, of one shape and dtype. Calling the
/// result waits until it is there.
std::function<void()> copy_to_host(const Tensor& source, Tensor& target);
Tensor page_locked(Shape, DType);  ///< host memory that the device reads and writes by itself
}  // namespace cuda

}  // namespace diptych
