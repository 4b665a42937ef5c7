// tensor/cpu/gemm_operands.h — what a matrix product works on: matrices, their column panels, and
// what happens to the result.
#pragma once

#include "tensor/cpu/gemm_micro.h"
#include "tensor/cpu/gemm_split.h"
#include "tensor/half.h"

namespace diptych::cpu {

template <class T>
struct Matrix {
  T* data;
  int64_t row, column;  // strides
};

/// What c = f(a b + bias + add) adds and applies: bias (N), add (M, N) as contiguous as c, and f
/// over n values in place; row_sums (M) gets the sums of the rows of a. Each may be null.
template <class T>
struct ProductEnd {
  const acc_t<T>* bias;
  const T* add;
  void (*f)(acc_t<T>* x, int64_t n);
  acc_t<T>* row_sums;
};

/// The sums of at most kTileRows rows of `depth` elements, put into `out` or, unless they are the
/// first, added to it. Four sums for each row: additions need not wait for one another.
template <class A>
void sum_rows(const Matrix<const A>& a, int64_t rows, int64_t depth, bool first, A* out) {
  A sums[4][kTileRows] = {};
  for (int64_t k = 0; k < depth; ++k) {
    const A* column = a.data + k * a.column;
    A* sum = sums[k % 4];
    if (rows == kTileRows && a.row == 1) {
      for (int64_t r = 0; r < kTileRows; ++r) sum[r] += column[r];
    } else {
      for (int64_t r = 0; r < rows; ++r) sum[r] += column[r * a.row];
    }
  }
  for (int64_t r = 0; r < rows; ++r) {
    const A total = (sums[0][r] + sums[1][r]) + (sums[2][r] + sums[3][r]);
    out[r] = first ? total : out[r] + total;
  }
}

/// `width` columns in panels of whole vectors, at most kTileVectors each and as even as possible:
/// four vectors are two panels of two, since a panel of one keeps few sums in registers.
template <class A>
struct ColumnPanels {
  explicit ColumnPanels(int64_t n)
      : width(n), vectors(ceil_div(n, kLanes<A>)), count(ceil_div(vectors, kTileVectors)) {}

  int64_t first_vector(int64_t q) const { return vectors * q / count; }
  int64_t vectors_of(int64_t q) const { return first_vector(q + 1) - first_vector(q); }
  int64_t begin(int64_t q) const { return first_vector(q) * kLanes<A>; }
  int64_t columns_of(int64_t q) const { return std::min(begin(q + 1), width) - begin(q); }
  bool is_whole(int64_t q) const { return begin(q + 1) <= width; }

  int64_t width, vectors, count;
};

}  // namespace diptych::cpu
