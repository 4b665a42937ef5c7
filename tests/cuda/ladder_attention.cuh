// tests/cuda/ladder_attention.cuh — attention over one sequence, rung by rung: rows of qkv (T, 3 D)
// are q, k, v of H heads of D / H columns, and for each head
//   S = q kᵀ / √(D/H),  P = softmax(S),  y = P v   (T, D)
#pragma once

#include "tests/cuda/ladder_softmax.cuh"

namespace diptych::cuda::ladder {

struct Attention {
  const float* qkv;
  float* y;
  int64_t T, D, H;

  __host__ __device__ int64_t width() const { return D / H; }
  __device__ float scale() const { return 1 / std::sqrt(static_cast<float>(width())); }
  /// Column c of head h of row t of q, k or v (part 0, 1, 2), with zeros around it.
  __device__ float at(int part, int64_t t, int64_t h, int64_t c) const {
    return t < T && c < width() ? qkv[t * 3 * D + part * D + h * width() + c] : 0;
  }
  __device__ void put(int64_t t, int64_t h, int64_t c, float value) const {
    if (t < T && c < width()) y[t * D + h * width() + c] = value;
  }
};

/// 1. The formula as it stands: three kernels, and S (H, T, T) in memory. A thread for each score;
/// the second kernel is softmax_by_warps, over H T rows.
static __global__ void attention_scores(Attention of, float* s) {
  const int64_t j = thread_number(), i = blockIdx.y, h = blockIdx.z;
  if (j >= of.T) return;
  float dot = 0;
  for (int64_t c = 0; c < of.width(); ++c) dot += of.at(0, i, h, c) * of.at(1, j, h, c);
  s[(h * of.T + i) * of.T + j] = dot * of.scale();
}
/// The third: a thread for each element of y.
static __global__ void attention_weighted(Attention of, const float* p) {
  const int64_t c = thread_number(), i = blockIdx.y, h = blockIdx.z;
  float sum = 0;
  for (int64_t j = 0; j < of.T; ++j) sum += p[(h * of.T + i) * of.T + j] * of.at(2, j, h, c);
  of.put(i, h, c, sum);
}

constexpr int kWidest = 64;  ///< columns of a head, for rung 2

/// q · k / √(D/H) for the query of this warp and the key of this lane, number j of the sequence.
__device__ inline float score(const Attention& of, const float (&q)[kWidest],
                              const float (&k)[kWidest + 1], int64_t j) {
  float dot = 0;
  for (int c = 0; c < kWidest; ++c) dot += q[c] * k[c];
  return j < of.T ? dot * of.scale() : kNothing;
}

/// 2. S exists for 32 keys at a time, one score in a register of each lane (Dao et al.,
/// "FlashAttention", 2022). A block has 8 queries of a head, one a warp, which share the tiles of k
/// and v in shared memory. When a tile brings a larger score, what was summed so far is scaled
/// down. Rows of k are 65 floats apart: each lane reads a row of its own, from a bank of its own.
static __global__ void attention_online(Attention of) {
  DIPTYCH_SHARED(float[8][kWidest], q);
  DIPTYCH_SHARED(float[32][kWidest + 1], k);
  DIPTYCH_SHARED(float[32][kWidest], v);
  const int64_t i = int64_t{blockIdx.x} * 8 + warp(), h = blockIdx.y;
  for (int c = lane(); c < kWidest; c += kWarp) q[warp()][c] = of.at(0, i, h, c);
  float most = kNothing, total = 0, y[2] = {};
  for (int64_t j0 = 0; j0 < of.T; j0 += 32) {
    for (int e = static_cast<int>(threadIdx.x); e < 32 * kWidest; e += kBlock) {
      k[e / kWidest][e % kWidest] = of.at(1, j0 + e / kWidest, h, e % kWidest);
      v[e / kWidest][e % kWidest] = of.at(2, j0 + e / kWidest, h, e % kWidest);
    }
    __syncthreads();  // the tiles, and q, are whole
    const float s = score(of, q[warp()], k[lane()], j0 + lane());
    const float higher = Max{}(most, warp_fold(s, Max{}));
    const float shrink = std::exp(most - higher), p = std::exp(s - higher);
    total = total * shrink + warp_fold(p, Sum{});
    most = higher;
    for (int n = 0; n < 2; ++n) y[n] *= shrink;
    for (int j = 0; j < 32; ++j) {
      const float weight = __shfl_sync(kAllLanes, p, j);
      for (int n = 0; n < 2; ++n) y[n] += weight * v[j][lane() + n * kWarp];
    }
    __syncthreads();  // nobody reads the tiles any more
  }
  for (int n = 0; n < 2; ++n) of.put(i, h, lane() + n * kWarp, y[n] / total);
}

}  // namespace diptych::cuda::ladder
