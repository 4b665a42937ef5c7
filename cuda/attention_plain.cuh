// cuda/attention_plain.cuh — products of tiles of rows with ordinary arithmetic, for every dtype
// and heads of any width. Members: see attention_tiles.cuh.
#pragma once

#include "cuda/attention.cuh"

namespace diptych::cuda {

/// Square tiles of 64 × 64, or 32 × 32 in f64, by 16 × 16 threads: each holds every sixteenth row
/// and column. So the 16 lanes that share a row read 16 successive columns of a tile
/// (`add_weighted`) or one column of 16 successive rows (`dots`); the rows are an odd number of
/// words apart, and no two of these lie in one bank. Both operands of a product are staged in two
/// shared tiles, a wide head in chunks of columns. A block computes one chunk of its results, and
/// all scores for it.
template <class T>
class PlainTiles {
  using A = acc_t<T>;
  static constexpr int kLine = 16, kSide = sizeof(A) == 4 ? 64 : 32, kEach = kSide / kLine;
  struct Tile {
    A at[kSide][kSide + 1];
  };

 public:
  static constexpr int kThreads = kLine * kLine, kLanes = kLine, kRun = 1;
  static constexpr int kRows = kSide, kOther = kSide, kColumns = kSide;
  using Scores = A[kEach][kEach];
  using Sums = A[kEach][kEach];
  __device__ static int row(int m) { return static_cast<int>(threadIdx.x) / kLine + kLine * m; }
  __device__ static int column(int n) { return static_cast<int>(threadIdx.x) % kLine + kLine * n; }
  /// Of shared memory for so many pairs of operands of dots and so many of add_weighted.
  static constexpr size_t shared_bytes(int, int) { return 2 * sizeof(Tile); }

  __device__ PlainTiles(unsigned char* shared, const Block& b, int)
      : left_(reinterpret_cast<Tile*>(shared)[0]),
        right_(reinterpret_cast<Tile*>(shared)[1]),
        start_(b.start),
        column_(b.column) {}

  /// Elements (row, column)… of `to`, as far as there are any.
  __device__ static void write(const A (&x)[kRun], const Rows<T>& to, int row, int column) {
    if (column < to.width) to.data[row * to.step + column] = narrow<T>(x[0]);
  }

  /// Own rows for the dots of this number.
  __device__ void keep(int slot, const Rows<T>& a) { own_[slot] = a; }

  /// s = a bᵀ: own rows and rows b0….
  __device__ void dots(int slot, const Rows<T>& b, int b0, Scores& s) {
    for (int m = 0; m < kEach; ++m)
      for (int n = 0; n < kEach; ++n) s[m][n] = 0;
    for (int c = 0; c < b.width; c += kSide) {
      __syncthreads();  // who still reads the tiles
      load(own_[slot], start_, c, left_);
      load(b, b0, c, right_);
      __syncthreads();
      const int depth = b.width - c < kSide ? b.width - c : kSide;
      for (int k = 0; k < depth; ++k)
        add_outer([&](int m) { return left_.at[row(m)][k]; },
                  [&](int n) { return right_.at[column(n)][k]; }, s);
    }
  }

  /// sums += w b: weights of own rows × rows b0…, of which some exist, and columns of those.
  __device__ void add_weighted(int, const Scores& w, const Rows<T>& b, int b0, Sums& sums) {
    __syncthreads();
    for (int m = 0; m < kEach; ++m)
      for (int n = 0; n < kEach; ++n) left_.at[row(m)][column(n)] = w[m][n];
    load(b, b0, column_, right_);
    __syncthreads();
    const int depth = b.count - b0 < kSide ? b.count - b0 : kSide;
    for (int k = 0; k < depth; ++k)
      add_outer([&](int m) { return left_.at[row(m)][k]; },
                [&](int n) { return right_.at[k][column(n)]; }, sums);
  }

 private:
  /// tile = rows r0… and columns c0…
  __device__ static void load(const Rows<T>& x, int r0, int c0, Tile& tile) {
    for (int i = static_cast<int>(threadIdx.x); i < kSide * kSide; i += kThreads) {
      const int r = i / kSide, c = i % kSide;
      const bool inside = r0 + r < x.count && c0 + c < x.width;
      tile.at[r][c] = inside ? widen(x.data[int64_t{r0 + r} * x.step + c0 + c]) : A(0);
    }
  }
  /// sums[m][n] += a(m) b(n)
  template <class Left, class Right>
  __device__ static void add_outer(const Left& a, const Right& b, A (&sums)[kEach][kEach]) {
    A x[kEach], y[kEach];
    DIPTYCH_UNROLL
    for (int m = 0; m < kEach; ++m) x[m] = a(m), y[m] = b(m);
    DIPTYCH_UNROLL
    for (int m = 0; m < kEach; ++m) {
      DIPTYCH_UNROLL
      for (int n = 0; n < kEach; ++n) sums[m][n] += x[m] * y[n];
    }
  }

  Tile &left_, &right_;
  Rows<T> own_[2];
  int start_, column_;
};

}  // namespace diptych::cuda
