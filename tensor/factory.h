// tensor/factory.h — making tensors.
#pragma once

#include <vector>

#include "tensor/tensor.h"

namespace diptych {

/// Uninitialised memory. Throws Error on a negative extent.
Tensor empty(Shape, DType = DType::f32, Device = Device::cpu);
Tensor empty_like(const Tensor&);  ///< same shape, dtype and device; always contiguous
Tensor zeros(Shape, DType = DType::f32, Device = Device::cpu);
Tensor zeros_like(const Tensor&);
Tensor full(Shape, double value, DType = DType::f32, Device = Device::cpu);
/// 0, 1, …, n-1, rounded to the dtype. Throws Error if n is negative, or above 256 for u8.
Tensor arange(int64_t n, DType = DType::i64, Device = Device::cpu);

/// A contiguous tensor with these values. Throws Error unless there are shape.numel() of them.
template <class T>
Tensor from_vector(const std::vector<T>& values, Shape);

/// Numbers that depend on (seed, stream, element) alone: see tensor/philox.h.
struct Seed {
  uint64_t seed = 0;
  uint64_t stream = 0;
};
Tensor randn(Shape, Seed, DType = DType::f32, Device = Device::cpu);  ///< standard normal
Tensor uniform(Shape, double low, double high, Seed, DType = DType::f32, Device = Device::cpu);

}  // namespace diptych
