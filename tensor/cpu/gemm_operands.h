// tensor/cpu/gemm_operands.h — what a matrix product works on: matrices, their column panels, and
// what happens to the result.
#pragma once

#include "tensor/cpu/gemm_micro.h"
#include "tensor/cpu/gemm_split.h"
#include "tensor/cpu/row_groups.h"
#include "tensor/half.h"

namespace diptych::cpu {

template <class T>
struct Matrix {
  T* data;
  int64_t row, column;  // strides
};

/// What c = f(a b + bias + add), of type C, adds and applies: bias (N), add (M, N) as contiguous as
/// c, and f over n values in place; row_sums (M) gets the sums of the rows of a. Each may be null.
template <class C>
struct ProductEnd {
  const acc_t<C>* bias;
  const C* add;
  void (*f)(acc_t<C>* x, int64_t n);
  acc_t<C>* row_sums;
};

/// The last pass of a product of 16 bits: everything is added in f32 and rounded once.
template <class C>
void round_row(const ProductEnd<C>& end, Range columns, acc_t<C>* tile, const acc_t<C>* sums,
               const C* add, C* c) {
  using A = acc_t<C>;
  const int64_t width = columns.end - columns.begin;
  for_each_vector<A>(width, [&](int64_t j, int64_t n) {
    vec<A> y = load(tile + j);  // tiles and sums are whole vectors
    if (end.bias) y += load_wide(end.bias + columns.begin + j, n);
    if (sums) y += load(sums + j);
    if (add) y += load_wide(add + j, n);
    end.f ? store(tile + j, y) : store_narrow(c + j, y, n);
  });
  if (!end.f) return;
  end.f(tile, width);
  convert(tile, width, c);
}

template <class P>
inline sum_t<P> sum_of_terms(const P& x) {
  if constexpr (kTerms<P> == 2) {
    return static_cast<float>(x.even) + static_cast<float>(x.odd);
  } else {
    return x;
  }
}

/// The sums of at most kTileRows rows of `depth` elements, put into `out` or, unless they are the
/// first, added to it. Four sums for each row: additions need not wait for one another.
template <class P>
void sum_rows(const Matrix<const P>& a, int64_t rows, int64_t depth, bool first, sum_t<P>* out) {
  using A = sum_t<P>;
  A sums[4][kTileRows] = {};
  for (int64_t k = 0; k < depth; ++k) {
    const P* column = a.data + k * a.column;
    A* sum = sums[k % 4];
    if (rows == kTileRows && a.row == 1) {
      for (int64_t r = 0; r < kTileRows; ++r) sum[r] += sum_of_terms(column[r]);
    } else {
      for (int64_t r = 0; r < rows; ++r) sum[r] += sum_of_terms(column[r * a.row]);
    }
  }
  for (int64_t r = 0; r < rows; ++r) {
    const A total = (sums[0][r] + sums[1][r]) + (sums[2][r] + sums[3][r]);
    out[r] = first ? total : out[r] + total;
  }
}

/// n terms or, where the last element would not be full, one more.
template <class P>
inline int64_t whole_elements(int64_t n) {
  return ceil_div(n, kTerms<P>) * kTerms<P>;
}

/// Terms [begin, end) of the sums in passes of at most kPassDepth elements, as even as possible.
template <class P>
struct Passes {
  Passes(int64_t begin_, int64_t end_)
      : begin(begin_),
        end(end_),
        count(std::max<int64_t>(1, ceil_div(end - begin, kPassDepth * kTerms<P>))),
        depth(whole_elements<P>(ceil_div(end - begin, count))) {}

  Range terms(int64_t pass) const {
    const int64_t first = begin + pass * depth;
    return {first, std::min(first + depth, end)};
  }

  int64_t begin, end, count, depth;
};

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
