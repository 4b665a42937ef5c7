// tests/cuda/ladder_layer_norm.cuh — layer normalisation of the rows of x (N, D), rung by rung:
//   y = (x - μ) / √(σ² + ε) · w + b,  μ = Σ x / D,  σ² = Σ (x - μ)² / D
#pragma once

#include "cuda/launch.cuh"

namespace diptych::cuda::ladder {

struct Norm {
  const float *x, *weight, *bias;
  float eps;
  float* y;
  int64_t N, D;

  __device__ float result(float value, float mean, float var, int64_t column) const {
    return (value - mean) / std::sqrt(var + eps) * weight[column] + bias[column];
  }
};

/// 1. A thread for each row.
static __global__ void layer_norm_by_threads(Norm of) {
  const int64_t row = thread_number(), D = of.D;
  if (row >= of.N) return;
  const float* const x = of.x + row * D;
  float mean = 0, var = 0;
  for (int64_t j = 0; j < D; ++j) mean += x[j] / static_cast<float>(D);
  for (int64_t j = 0; j < D; ++j) var += (x[j] - mean) * (x[j] - mean) / static_cast<float>(D);
  for (int64_t j = 0; j < D; ++j) of.y[row * D + j] = of.result(x[j], mean, var, j);
}

/// 2. A block for each row; block_fold exchanges registers within warps, and meets at two barriers.
static __global__ void layer_norm_by_blocks(Norm of) {
  DIPTYCH_SHARED(float[kBlock / kWarp], room);
  const int64_t D = of.D, first = blockIdx.x * D;
  const float* const x = of.x + first;
  float mean = 0, var = 0;
  for (int64_t j = threadIdx.x; j < D; j += kBlock) mean += x[j];
  mean = block_fold(mean, Sum{}, room) / static_cast<float>(D);
  for (int64_t j = threadIdx.x; j < D; j += kBlock) var += (x[j] - mean) * (x[j] - mean);
  var = block_fold(var, Sum{}, room) / static_cast<float>(D);
  for (int64_t j = threadIdx.x; j < D; j += kBlock) of.y[first + j] = of.result(x[j], mean, var, j);
}

/// 3. A warp for each row, which it reads once and keeps: kEach floats in the registers of a lane,
/// for D ≤ 32 kEach. Registers have no numbers that a program could compute, so every loop over
/// them must be unrolled.
template <int kEach>
__global__ void layer_norm_in_registers(Norm of) {
  const int64_t row = int64_t{blockIdx.x} * warps() + warp(), D = of.D, end = row < of.N ? D : 0;
  float x[kEach], mean = 0, var = 0;
  DIPTYCH_UNROLL
  for (int n = 0; n < kEach; ++n) {
    const int64_t j = n * kWarp + lane();
    mean += x[n] = j < end ? of.x[row * D + j] : 0;
  }
  mean = warp_fold(mean, Sum{}) / static_cast<float>(D);
  DIPTYCH_UNROLL
  for (int n = 0; n < kEach; ++n) {
    const float off = n * kWarp + lane() < end ? x[n] - mean : 0;
    var += off * off;
  }
  var = warp_fold(var, Sum{}) / static_cast<float>(D);
  DIPTYCH_UNROLL
  for (int n = 0; n < kEach; ++n) {
    const int64_t j = n * kWarp + lane();
    if (j < end) of.y[row * D + j] = of.result(x[n], mean, var, j);
  }
}

}  // namespace diptych::cuda::ladder
