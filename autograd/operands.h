// autograd/operands.h — what operators check about their operands, and how kernels see them.
#pragma once

#include <functional>
#include <initializer_list>

#include "tensor/tensor.h"

namespace diptych {

/// Throws Error naming `op` unless x is floating-point.
void check_float(const char* op, const Tensor& x);

/// Of one dtype, on one device.
inline bool alike(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.device() == b.device();
}

using Operands = std::initializer_list<std::reference_wrapper<const Tensor>>;

/// Throws Error naming `op`, and the dtype and device of each operand, unless all agree. Undefined
/// ones are skipped: operands that may be absent.
void check_alike(const char* op, Operands);

/// x (…, D) → contiguous (N, D). Throws Error naming `op` if x has no axis or is not
/// floating-point.
Tensor as_rows(const char* op, const Tensor& x);

/// Throws Error naming `op` unless x is a batch of floating-point pictures (B, H, W, C).
void check_picture(const char* op, const Tensor& x);

/// Throws Error unless every value of an i64 tensor is in [0, n). Only host memory is looked at: on
/// a device the test would cost a synchronisation per call.
void check_index(const char* what, const Tensor& index, int64_t n);

/// The dtype in which kernels keep statistics of x, and modules gradients and moments: f64 for f64,
/// else f32.
inline DType statistics_dtype(DType x) { return x == DType::f64 ? DType::f64 : DType::f32; }
inline DType statistics_dtype(const Tensor& x) { return statistics_dtype(x.dtype()); }

/// What a norm scales and shifts x by, as kernels want it: contiguous, of the dtype of statistics.
/// Throws Error naming `op` unless both are (D), on x's device, of its dtype or of that one.
struct Gains {
  Gains(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias);
  Tensor weight, bias;
};

/// d as a gradient of that dtype; undefined stays so.
inline Tensor gradient_in(DType dtype, const Tensor& d) { return d.defined() ? d.to(dtype) : d; }

}  // namespace diptych
