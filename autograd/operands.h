// autograd/operands.h — what operators check about their operands, and how kernels see them.
#pragma once

#include "tensor/tensor.h"

namespace diptych {

/// x (…, D) → contiguous (N, D). Throws Error naming `op` if x has no axis or is not
/// floating-point.
inline Tensor as_rows(const char* op, const Tensor& x) {
  check(is_float(x.dtype()), op, ": needs a floating-point tensor, got ", x.dtype());
  check(x.rank() >= 1, op, ": needs at least one axis, got ", x.shape());
  const int64_t D = x.dim(-1);
  return x.contiguous().view({D ? x.numel() / D : 0, D});
}

/// Throws Error naming `op` unless x is a batch of floating-point pictures (B, H, W, C).
inline void check_picture(const char* op, const Tensor& x) {
  check(is_float(x.dtype()) && x.rank() == 4, op,
        ": needs floating-point pictures (B, H, W, C), got ", x.dtype(), ' ', x.shape());
}

/// Throws Error unless every value of an i64 tensor is in [0, n). Only host memory is looked at: on
/// a device the test would cost a synchronisation per call.
void check_index(const char* what, const Tensor& index, int64_t n);

/// The dtype in which kernels keep statistics of x: f64 for f64, else f32.
inline DType statistics_dtype(const Tensor& x) {
  return x.dtype() == DType::f64 ? DType::f64 : DType::f32;
}

}  // namespace diptych
