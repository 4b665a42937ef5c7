// tests/cuda/ladder_matmul.cuh — the matrix product c = a b, rung by rung: a (M, K), b (K, N) and
// c (M, N), contiguous. What each rung reads is counted in cuda/README.md; how each is launched
// stands in test_ladder.cu.
#pragma once

#include "cuda/mma.cuh"

namespace diptych::cuda::ladder {

template <class T>
struct Product {
  const T *a, *b;
  float* c;
  int64_t M, K, N;

  /// Elements, with zeros around the matrices: only loads are guarded, so that all threads of a
  /// block go the same way and meet at its barriers.
  __device__ T a_at(int64_t i, int64_t k) const { return i < M && k < K ? a[i * K + k] : T{}; }
  __device__ T b_at(int64_t k, int64_t j) const { return k < K && j < N ? b[k * N + j] : T{}; }
  __device__ void put(int64_t i, int64_t j, float sum) const {
    if (i < M && j < N) c[i * N + j] = sum;
  }
};

/// 1. A thread for each element of c: 256 columns of one row per block. The lanes of a warp read 32
/// successive elements of b, and one of a.
static __global__ void matmul_by_elements(Product<float> p) {
  const int64_t i = blockIdx.y, j = thread_number();
  float sum = 0;
  for (int64_t k = 0; k < p.K; ++k) sum += p.a_at(i, k) * p.b_at(k, j);
  p.put(i, j, sum);
}

/// 2. A block computes 32 × 32 elements of c. Tiles of a and b, as large, are fetched once and read
/// 32 times out of shared memory. A warp has every eighth row, a lane one column.
static __global__ void matmul_shared_tiles(Product<float> p) {
  DIPTYCH_SHARED(float[32][32], a);
  DIPTYCH_SHARED(float[32][32], b);
  const int64_t i0 = int64_t{blockIdx.y} * 32, j = int64_t{blockIdx.x} * 32 + lane();
  float sums[4] = {};
  for (int64_t k0 = 0; k0 < p.K; k0 += 32) {
    for (int row = warp(); row < 32; row += 8) {
      a[row][lane()] = p.a_at(i0 + row, k0 + lane());
      b[row][lane()] = p.b_at(k0 + row, j);
    }
    __syncthreads();  // the tiles are whole
    for (int k = 0; k < 32; ++k)
      for (int m = 0; m < 4; ++m) sums[m] += a[warp() + 8 * m][k] * b[k][lane()];
    __syncthreads();  // nobody reads them any more
  }
  for (int m = 0; m < 4; ++m) p.put(i0 + warp() + 8 * m, j, sums[m]);
}

/// 3. 128 × 128 elements of c per block, 8 × 8 per thread, which stay in its registers. Of each
/// column of a and row of b it reads 8 values, for 64 multiply-adds. It has every sixteenth row and
/// column, so that neighbours read neighbours: 16 floats of b from 16 banks. The tile of a is
/// transposed on the way; its rows are 132 floats apart, or 8 lanes would write to one bank.
static __global__ void matmul_register_tiles(Product<float> p) {
  DIPTYCH_SHARED(float[8][132], a);
  DIPTYCH_SHARED(float[8][128], b);
  const int t = static_cast<int>(threadIdx.x), row = t / 16, column = t % 16;
  const int64_t i0 = int64_t{blockIdx.y} * 128, j0 = int64_t{blockIdx.x} * 128;
  float sums[8][8] = {};
  for (int64_t k0 = 0; k0 < p.K; k0 += 8) {
    for (int e = t; e < 8 * 128; e += kBlock) {
      a[e % 8][e / 8] = p.a_at(i0 + e / 8, k0 + e % 8);
      b[e / 128][e % 128] = p.b_at(k0 + e / 128, j0 + e % 128);
    }
    __syncthreads();
    for (int k = 0; k < 8; ++k) {
      float x[8], y[8];
      DIPTYCH_UNROLL
      for (int m = 0; m < 8; ++m) x[m] = a[k][row + 16 * m], y[m] = b[k][column + 16 * m];
      DIPTYCH_UNROLL
      for (int m = 0; m < 8; ++m) {
        DIPTYCH_UNROLL
        for (int n = 0; n < 8; ++n) sums[m][n] += x[m] * y[n];
      }
    }
    __syncthreads();
  }
  DIPTYCH_UNROLL
  for (int m = 0; m < 8; ++m) {
    DIPTYCH_UNROLL
    for (int n = 0; n < 8; ++n) p.put(i0 + row + 16 * m, j0 + column + 16 * n, sums[m][n]);
  }
}

/// Rows of 16 elements of 16 bits for load_a and load_b. They are 24 apart: the 32 lanes of a
/// fragment then read from 32 banks. Aligned, since two elements are read at once.
template <class T>
struct alignas(16) Panel {
  T at[64][24];
};

/// 4. 16-bit elements on tensor cores: 64 × 64 elements of c per block, 16 × 64 for each of 4
/// warps. The tile of b is transposed on the way: the instruction wants neighbours along k side by
/// side.
template <class T>
__global__ void matmul_tensor_cores(Product<T> p) {
  DIPTYCH_SHARED(Panel<T>, a);
  DIPTYCH_SHARED(Panel<T>, b);
  const int64_t i0 = int64_t{blockIdx.y} * 64, j0 = int64_t{blockIdx.x} * 64;
  float sums[8][4] = {};
  for (int64_t k0 = 0; k0 < p.K; k0 += 16) {
    for (int e = static_cast<int>(threadIdx.x); e < 64 * 16; e += 4 * kWarp) {
      a.at[e / 16][e % 16] = p.a_at(i0 + e / 16, k0 + e % 16);
      b.at[e % 64][e / 64] = p.b_at(k0 + e / 64, j0 + e % 64);
    }
    __syncthreads();
    const FragmentA<T> rows = load_a(a.at[16 * warp()], 24);
    DIPTYCH_UNROLL
    for (int n = 0; n < 8; ++n)
      mma(rows, load_b(b.at[8 * n], 24), sums[n][0], sums[n][1], sums[n][2], sums[n][3]);
    __syncthreads();
  }
  DIPTYCH_UNROLL
  for (int n = 0; n < 8; ++n) {
    DIPTYCH_UNROLL
    for (int i = 0; i < 4; ++i) {
      const Element e = fragment_c(lane(), i);
      p.put(i0 + 16 * warp() + e.row, j0 + 8 * n + e.column, sums[n][i]);
    }
  }
}

}  // namespace diptych::cuda::ladder
