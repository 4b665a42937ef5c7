// cuda/attention.cuh — what the passes of attention share: where a block works, and what it does
// with a tile of scores.
//
// For one head of one sequence, with s = 1 / √(D/H) and masked scores -inf:
//   S = s Q Kᵀ,  lse_i = ln Σ_j e^S_ij,  P_ij = e^(S_ij - lse_i),  Y = P V
// and, given G = ∂L/∂Y and δ_i = Σ_d G_id Y_id,
//   dV = Pᵀ G,  dS = P ∘ (G Vᵀ - δ),  dQ = s dS K,  dK = s dSᵀ Q
//
// All four results are sums over the rows of the other side, weighted by a matrix that exists for
// one tile at a time. A block keeps a tile of rows (queries for Y and dQ, keys for dK and dV), goes
// through the tiles of the other side, and nobody else writes its results: no atomics, one order.
//
// The products of tiles are attention_tiles.cuh's. They say which elements of a tile a thread
// holds:
//   Scores[m][n] is element (row(m), column(n)) of a tile, Sums[m][n] of the result;
//   a row is shared by kLanes lanes that lie side by side, kRun successive n are successive
//   columns.
#pragma once

#include "cuda/launch.cuh"
#include "tensor/scalar_math.h"

namespace diptych::cuda {

/// A tile of rows of one head of one sequence, and what they may look at.
struct Block {
  int64_t first, head;  ///< the sequence's first row, the number of the head
  int tokens, start;    ///< T; first row of the tile, in [0, T) or behind
  int column;           ///< first column of the results
  bool causal;

  /// Whether query i of the sequence and its key j exist and meet.
  __device__ bool meet(int i, int j) const {
    return i < tokens && j < tokens && (!causal || j <= i);
  }
  /// The keys that a tile of `rows` queries goes through end here; 0 for a tile behind the
  /// sequence.
  __device__ int keys_end(int rows) const {
    if (start >= tokens) return 0;
    return causal && start + rows < tokens ? start + rows : tokens;
  }
  /// The queries that look at a tile of keys begin here and end with the sequence.
  __device__ int queries_begin() const { return causal || start >= tokens ? start : 0; }
};

/// Rows of one head of one sequence: element (i, d) is data[i * step + d]; zeros around them.
template <class T>
struct Rows {
  T* data;
  int64_t step;      ///< elements between rows
  int count, width;  ///< rows, columns
  bool packed;       ///< 16 bytes may be read and written at once
};

/// What the gradients read besides rows: lse and δ of each query.
template <class A>
struct Statistics {
  const A *lse, *delta;
};

/// The packed sequences. Blocks are numbered (sequence, head, tile, chunk of columns), the last
/// fastest, along x alone: y and z have too few places for many short sequences.
template <class T>
struct Heads {
  T* qkv;
  const int64_t* ends;  ///< (B+1), on the device
  int64_t total, D;
  unsigned heads, tiles, chunks;
  int width;
  acc_t<T> scale;
  bool causal, packed;

  template <class Tiles>
  __device__ Block block() const {
    const unsigned chunk = blockIdx.x % chunks, item = blockIdx.x / chunks;
    const unsigned tile = item % tiles, head = item / tiles % heads;
    const int64_t* at = ends + item / tiles / heads;
    return {at[0],
            head,
            static_cast<int>(at[1] - at[0]),
            static_cast<int>(tile) * Tiles::kRows,
            static_cast<int>(chunk) * Tiles::kColumns,
            causal};
  }
  /// Columns of a head in a tensor (ΣT, parts · D): its part 0, 1, ….
  __device__ Rows<T> rows(const Block& b, T* x, int parts, int part) const {
    const int64_t step = parts * D;
    return {x + b.first * step + part * D + b.head * width, step, b.tokens, width, packed};
  }
  __device__ Rows<T> query(const Block& b) const { return rows(b, qkv, 3, 0); }
  __device__ Rows<T> key(const Block& b) const { return rows(b, qkv, 3, 1); }
  __device__ Rows<T> value(const Block& b) const { return rows(b, qkv, 3, 2); }
  /// Those of the head and the sequence, out of (H, ΣT).
  __device__ Statistics<acc_t<T>> of(const Block& b, const Statistics<acc_t<T>>& all) const {
    const int64_t at = b.head * total + b.first;
    return {all.lse + at, all.delta + at};
  }
};

/// State of the online softmax of one query: the largest score so far and Σ e^(S - most). Each of
/// the lanes of the row sums its own columns.
template <class A>
struct Running {
  A most = -std::numeric_limits<A>::infinity(), total = 0;
};

/// x of the kLanes lanes that lie side by side, combined, in each of them.
template <int kLanes, class F, class A>
__device__ A lanes_fold(A x, F f) {
  DIPTYCH_UNROLL
  for (int step = kLanes / 2; step > 0; step /= 2) x = f(x, __shfl_xor_sync(kAllLanes, x, step));
  return x;
}

/// Passes over NaN, which will be in the sum of exponentials.
struct Larger {
  template <class A>
  __device__ A operator()(A a, A b) const {
    return fmax(a, b);
  }
};

/// Scales a tile of q kᵀ, columns being keys k0…, and makes it -inf where masked.
template <class Tiles, class A, int R, int C>
__device__ void mask_scores(const Block& b, int k0, A scale, A (&s)[R][C]) {
  DIPTYCH_UNROLL
  for (int m = 0; m < R; ++m) {
    DIPTYCH_UNROLL
    for (int n = 0; n < C; ++n) {
      const bool met = b.meet(b.start + Tiles::row(m), k0 + Tiles::column(n));
      s[m][n] = met ? scale * s[m][n] : -std::numeric_limits<A>::infinity();
    }
  }
}

/// Turns scores into weights e^(S - most), and rescales what was summed under a smaller maximum. A
/// row that saw nothing yet has the maximum -inf, and weights of 0 all the same.
template <int kLanes, class A, int R, int C, int N>
__device__ void soften(A (&s)[R][C], Running<A> (&run)[R], A (&sums)[R][N]) {
  DIPTYCH_UNROLL
  for (int m = 0; m < R; ++m) {
    A most = run[m].most;
    DIPTYCH_UNROLL
    for (int n = 0; n < C; ++n) most = Larger{}(most, s[m][n]);
    most = lanes_fold<kLanes>(most, Larger{});
    const A shift = most == -std::numeric_limits<A>::infinity() ? A(0) : most;
    const A shrink = scalar::exp(run[m].most - shift);
    run[m] = {most, run[m].total * shrink};
    DIPTYCH_UNROLL
    for (int n = 0; n < C; ++n) run[m].total += s[m][n] = scalar::exp(s[m][n] - shift);
    DIPTYCH_UNROLL
    for (int n = 0; n < N; ++n) sums[m][n] *= shrink;
  }
}

/// s = q·k becomes P and dp = g·v becomes dS, both 0 where masked. Rows of the tile are the
/// block's, columns those from `other` on. As in the CPU's kernels, 0 times a NaN is NaN: what is
/// masked and NaN spoils its tile.
template <class Tiles, bool kRowsAreQueries, class A, int R, int C>
__device__ void weigh(const Block& b, int other, A scale, const Statistics<A>& of, A (&s)[R][C],
                      A (&dp)[R][C]) {
  DIPTYCH_UNROLL
  for (int m = 0; m < R; ++m) {
    DIPTYCH_UNROLL
    for (int n = 0; n < C; ++n) {
      const int row = b.start + Tiles::row(m), column = other + Tiles::column(n);
      const int i = kRowsAreQueries ? row : column, j = kRowsAreQueries ? column : row;
      const bool met = b.meet(i, j);
      s[m][n] = met ? scalar::exp(scale * s[m][n] - of.lse[i]) : A(0);
      dp[m][n] = met ? s[m][n] * (dp[m][n] - of.delta[i]) : A(0);
    }
  }
}

/// Writes factor times the sums of a thread to the rows of the block.
template <class Tiles, class T, class A, int R, int N>
__device__ void write_rows(const Block& b, A factor, const A (&sums)[R][N], const Rows<T>& to) {
  DIPTYCH_UNROLL
  for (int m = 0; m < R; ++m) {
    const int row = b.start + Tiles::row(m);
    DIPTYCH_UNROLL
    for (int n = 0; n < N; n += Tiles::kRun) {
      A x[Tiles::kRun];
      DIPTYCH_UNROLL
      for (int i = 0; i < Tiles::kRun; ++i) x[i] = factor * sums[m][n + i];
      if (row < to.count) Tiles::write(x, to, row, b.column + Tiles::column(n));
    }
  }
}

}  // namespace diptych::cuda
