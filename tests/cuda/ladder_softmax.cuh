// tests/cuda/ladder_softmax.cuh — softmax of the rows of x (N, D), rung by rung:
//   y = eˣ⁻ᵐ / Σ eˣ⁻ᵐ,  m = max x
// All kernels have the same parameters.
#pragma once

#include "cuda/launch.cuh"

namespace diptych::cuda::ladder {

constexpr float kNothing = -std::numeric_limits<float>::infinity();

/// 1. A thread for each row. Lanes are D floats apart: where a warp reads, 32 pieces of memory of
/// 32 bytes each have to come, for 4 bytes of each.
static __global__ void softmax_by_threads(const float* x, float* y, int64_t N, int64_t D) {
  const int64_t row = thread_number();
  if (row >= N) return;  // allowed: nobody waits in this kernel
  const float* const in = x + row * D;
  float most = kNothing, total = 0;
  for (int64_t j = 0; j < D; ++j) most = Max{}(most, in[j]);
  for (int64_t j = 0; j < D; ++j) total += std::exp(in[j] - most);
  for (int64_t j = 0; j < D; ++j) y[row * D + j] = std::exp(in[j] - most) / total;
}

/// x of all threads of a block of 256, combined in shared memory: half as many after each round.
template <class F>
__device__ float tree(float x, F f, float (&room)[kBlock]) {
  const unsigned t = threadIdx.x;
  room[t] = x;
  __syncthreads();
  for (unsigned half = kBlock / 2; half > 0; half /= 2) {
    if (t < half) room[t] = f(room[t], room[t + half]);
    __syncthreads();  // this round's results are there
  }
  const float all = room[0];
  __syncthreads();  // everybody has it, and room may be used again
  return all;
}

/// 2. A block for each row. Lanes read neighbours, 128 bytes at once, but the block stands still at
/// 20 barriers.
static __global__ void softmax_by_blocks(const float* x, float* y, int64_t, int64_t D) {
  DIPTYCH_SHARED(float[kBlock], room);
  const int64_t first = blockIdx.x * D;
  float most = kNothing, total = 0;
  for (int64_t j = threadIdx.x; j < D; j += kBlock) most = Max{}(most, x[first + j]);
  most = tree(most, Max{}, room);
  for (int64_t j = threadIdx.x; j < D; j += kBlock) total += std::exp(x[first + j] - most);
  total = tree(total, Sum{}, room);
  for (int64_t j = threadIdx.x; j < D; j += kBlock)
    y[first + j] = std::exp(x[first + j] - most) / total;
}

/// 3. A warp for each row. Its lanes exchange registers: no shared memory, no barrier. Warps beyond
/// the last row have a row of width 0.
static __global__ void softmax_by_warps(const float* x, float* y, int64_t N, int64_t D) {
  const int64_t row = int64_t{blockIdx.x} * warps() + warp(), end = row < N ? D : 0;
  const float* const in = x + row * D;
  float most = kNothing, total = 0;
  for (int64_t j = lane(); j < end; j += kWarp) most = Max{}(most, in[j]);
  most = warp_fold(most, Max{});
  for (int64_t j = lane(); j < end; j += kWarp) total += std::exp(in[j] - most);
  total = warp_fold(total, Sum{});
  for (int64_t j = lane(); j < end; j += kWarp) y[row * D + j] = std::exp(in[j] - most) / total;
}

/// The largest of some elements, and Σ eˣ⁻ᵐᵒˢᵗ over them.
struct Running {
  float most = kNothing, total = 0;
};
/// That of two sets of elements: what was summed under the smaller maximum is scaled down. The
/// maximum of nothing is -inf, and -inf less itself would be NaN.
__device__ inline Running merge(Running a, Running b) {
  const float most = Max{}(a.most, b.most), shift = most == kNothing ? 0 : most;
  return {most, a.total * std::exp(a.most - shift) + b.total * std::exp(b.most - shift)};
}

/// 4. Maximum and sum in one reading (Milakov and Gimelshein, "Online normalizer calculation for
/// softmax", 2018).
static __global__ void softmax_online(const float* x, float* y, int64_t N, int64_t D) {
  const int64_t row = int64_t{blockIdx.x} * warps() + warp(), end = row < N ? D : 0;
  const float* const in = x + row * D;
  Running run;
  for (int64_t j = lane(); j < end; j += kWarp) run = merge(run, {in[j], 1});
  for (int step = kWarp / 2; step > 0; step /= 2)
    run = merge(run, {__shfl_xor_sync(kAllLanes, run.most, step),
                      __shfl_xor_sync(kAllLanes, run.total, step)});
  for (int64_t j = lane(); j < end; j += kWarp)
    y[row * D + j] = std::exp(in[j] - run.most) / run.total;
}

}  // namespace diptych::cuda::ladder
