// cuda/columns.cuh — loops down the columns of a matrix (N, D), whose fast axis is D.
//
// A block takes a tile: up to 32 packs of columns side by side, and a chunk of rows. Its threads
// stand in a rectangle, and each walks down its columns over every height-th row of the chunk. With
// D = 12 in packs of 4 there are four threads side by side and 64 of them below each other:
//
//   row 0:  thread 0 | 1 | 2 | (3 has no columns)       row 1:  thread 4 | 5 | 6 | (7)       …
//
// so that a warp reads whole stretches of memory however narrow the matrix is. Sums take two
// stages: the threads of a column combine theirs in a tree, and a second kernel combines those of
// the chunks, in f64, for there may be a thousand of them. Chunks depend on the problem alone.
#pragma once

#include "cuda/wide.cuh"
#include "tensor/factory.h"

namespace diptych::cuda {

/// How (N, D) is cut into tiles.
struct Tiling {
  Tiling(int64_t rows, int64_t columns, int pack) : N(rows), D(columns) {
    while (across < kWarp && across * pack < D) across *= 2;
    tiles = ceil_div(D, across * pack);
    constexpr int64_t kBlocks = 2048, kRowsOfThread = 8;  // fill a device; are worth a thread
    length = ceil_div(N, 1 + kBlocks / (1 + tiles));
    const int64_t least = kRowsOfThread * kBlock / across;
    if (length < least) length = least;
  }
  int64_t chunks() const { return ceil_div(N, length); }
  Grid grid() const { return {tiles, kBlock, chunks()}; }
  __device__ int64_t end_of(int64_t chunk) const {
    return (chunk + 1) * length < N ? (chunk + 1) * length : N;
  }

  int64_t N, D;
  int64_t tiles;   ///< side by side
  int64_t length;  ///< rows of a chunk
  int across = 1;  ///< threads of a block side by side, a power of two
};

/// What is a thread's: kPack columns, and the rows begin, begin + step, … below end.
template <int kPack>
struct Walk {
  __device__ explicit Walk(const Tiling& t)
      : column((int64_t{blockIdx.x} * t.across + static_cast<int>(threadIdx.x) % t.across) * kPack),
        step(kBlock / t.across),
        begin(blockIdx.y * t.length + static_cast<int>(threadIdx.x) / t.across),
        end(column < t.D ? t.end_of(blockIdx.y) : 0) {}

  /// Calls f(row), for each of them.
  template <class F>
  __device__ void each_row(F f) const {
    for (int64_t i = begin; i < end; i += step) f(i);
  }

  int64_t column, step, begin, end;
};

/// What the threads of a column have, combined, in each of them. They are `across` threads apart;
/// `room`: V[kBlock], shared.
template <class V, class F>
__device__ V fold_column(const V& x, F f, V* room, int across) {
  const int t = static_cast<int>(threadIdx.x);
  __syncthreads();  // who still reads `room` of the time before
  room[t] = x;
  for (int half = kBlock / 2; half >= across; half /= 2) {
    __syncthreads();
    if (t < half) room[t] = f(room[t], room[t + half]);
  }
  __syncthreads();
  return room[t % across];
}

/// Two sums at once, or two moments.
template <class V>
struct Two {
  V a, b;
  __device__ friend Two operator+(const Two& x, const Two& y) { return {x.a + y.a, x.b + y.b}; }
};

/// chunks[k, 0, j], chunks[k, 1, j] = what was combined for the columns j of this block; k is its
/// chunk.
template <class A, int kPack>
__device__ void store_chunk(const Walk<kPack>& walk, const Tiling& tiling,
                            const Two<Pack<A, kPack>>& values, A* chunks) {
  if (static_cast<int>(threadIdx.x) >= tiling.across || walk.column >= tiling.D) return;
  A* const to = chunks + 2 * blockIdx.y * tiling.D + walk.column;
  store_each(values.a, to);
  store_each(values.b, to + tiling.D);
}

/// sums[k, 0, j], sums[k, 1, j] = Σ of the two terms of column j over the rows of chunk k.
/// term.columns<kPack>(j) is a function of the row, whose terms for columns j, j + 1, … are Two
/// packs.
template <class Term, class A, int kPack>
__global__ void sum_columns_of_chunks(Term term, Tiling tiling, A* sums) {
  using Sums = Two<Pack<A, kPack>>;
  DIPTYCH_SHARED(Sums[kBlock], room);
  const Walk<kPack> walk(tiling);
  Sums total{};
  if (walk.begin < walk.end) {
    const auto at = term.template columns<kPack>(walk.column);
    walk.each_row([&](int64_t i) { total = total + at(i); });
  }
  total = fold_column(total, Sum{}, room, tiling.across);
  store_chunk(walk, tiling, total, sums);
}

constexpr int kMerged = 8;  ///< columns of a block that combines chunks

/// Calls finish(j, Σ_k sums[k, 0, j], Σ_k sums[k, 1, j]) for each column.
template <class A, class Finish>
__global__ void add_chunks(const A* sums, int64_t chunks, int64_t D, Finish finish) {
  DIPTYCH_SHARED(Two<double>[kBlock], room);
  const int64_t j = int64_t{blockIdx.x} * kMerged + threadIdx.x % kMerged;
  Two<double> total{};
  for (int64_t k = threadIdx.x / kMerged; j < D && k < chunks; k += kBlock / kMerged)
    total = total + Two<double>{sums[2 * k * D + j], sums[(2 * k + 1) * D + j]};
  total = fold_column(total, Sum{}, room, kMerged);
  if (threadIdx.x < kMerged && j < D) finish(j, total.a, total.b);
}

/// Both stages.
template <class A, int kPack, class Term, class Finish>
void sum_columns(const char* name, const Term& term, int64_t N, int64_t D, const Finish& finish) {
  const Tiling tiling(N, D, kPack);
  const Tensor sums = empty({tiling.chunks(), 2, D}, dtype_of<A>(), Device::cuda);
  A* ps = sums.data<A>();
  launch(name, sum_columns_of_chunks<Term, A, kPack>, tiling.grid(), term, tiling, ps);
  launch(name, add_chunks<A, Finish>, Grid{ceil_div(D, kMerged)}, ps, tiling.chunks(), D, finish);
}

}  // namespace diptych::cuda
