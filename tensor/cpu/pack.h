// tensor/cpu/pack.h — copies a panel of a strided matrix into the order in which a kernel reads it.
#pragma once

#include <algorithm>
#include <cstring>

#include "tensor/cpu/convert.h"
#include "tensor/cpu/factor.h"

namespace diptych::cpu {

namespace detail {

/// A transposition in registers: row[k][j] = what was row[j][k].
template <class A>
struct Square;

template <>
struct Square<float> {
  static constexpr int kSide = 8;
  typedef float type __attribute__((vector_size(32)));

  /// First the halves of rows four apart change places; then each half of four rows is a square of
  /// its own, zipped twice by instructions that stay within halves.
  static void transpose(type (&row)[kSide]) {
    type half[kSide];
    for (int j = 0; j < 4; ++j) {
      half[j] = __builtin_shufflevector(row[j], row[j + 4], 0, 1, 2, 3, 8, 9, 10, 11);
      half[j + 4] = __builtin_shufflevector(row[j], row[j + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
    zip_twice(half, row);
    zip_twice(half + 4, row + 4);
  }

 private:
  static void zip_twice(const type* from, type* to) {
    type pairs[4];
    for (int j = 0; j < 2; ++j) {
      pairs[j] = __builtin_shufflevector(from[2 * j], from[2 * j + 1], 0, 8, 1, 9, 4, 12, 5, 13);
      pairs[j + 2] =
          __builtin_shufflevector(from[2 * j], from[2 * j + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    for (int j = 0; j < 2; ++j) {
      const type &a = pairs[2 * j], &b = pairs[2 * j + 1];
      to[2 * j] = __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13);
      to[2 * j + 1] = __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15);
    }
  }
};

template <>
struct Square<double> {
  static constexpr int kSide = 4;
  typedef double type __attribute__((vector_size(32)));

  static void transpose(type (&row)[kSide]) {
    type half[kSide];
    for (int j = 0; j < 2; ++j) {
      half[j] = __builtin_shufflevector(row[j], row[j + 2], 0, 1, 4, 5);
      half[j + 2] = __builtin_shufflevector(row[j], row[j + 2], 2, 3, 6, 7);
    }
    for (int j = 0; j < kSide; j += 2) {
      row[j] = __builtin_shufflevector(half[j], half[j + 1], 0, 4, 2, 6);
      row[j + 1] = __builtin_shufflevector(half[j], half[j + 1], 1, 5, 3, 7);
    }
  }
};

/// y[k * step_y + j] = element k of row j, which load(j, row) reads, for j, k < kSide
template <class S, class Load, class P>
inline void transpose_square(const Load& load, P* y, int64_t step_y) {
  typename S::type row[S::kSide];
  for (int j = 0; j < S::kSide; ++j) load(j, row[j]);
  S::transpose(row);
  for (int k = 0; k < S::kSide; ++k)
    std::memcpy(static_cast<void*>(y + k * step_y), &row[k], sizeof row[k]);
}

/// y[k * step_y + j] = x[j * step_x + k] for j, k < kSide
template <class T>
inline void transpose_square(const T* x, int64_t step_x, acc_t<T>* y, int64_t step_y) {
  using S = Square<acc_t<T>>;
  const auto load = [&](int j, typename S::type& row) {
    acc_t<T> values[S::kSide];
    convert(x + j * step_x, S::kSide, values);
    std::memcpy(&row, values, sizeof values);
  };
  transpose_square<S>(load, y, step_y);
}

/// Calls f(j, k) for the squares of `width` columns by `depth` rows: two squares down at a time,
/// which are a cache line of the source, and then across, so that what is written is dense.
template <int64_t kSide, class F>
inline void for_each_square(int64_t width, int64_t depth, const F& f) {
  for (int64_t top = 0; top < depth; top += 2 * kSide)
    for (int64_t j = 0; j < width; j += kSide)
      for (int64_t k = top; k < std::min(depth, top + 2 * kSide); k += kSide) f(j, k);
}

/// Short rows far apart are no stream that hardware would foresee: asks for one some rows ahead.
template <class T>
inline void fetch_ahead(const T* row, int64_t step, int64_t width) {
  constexpr int64_t kRows = 8, kLine = 64 / sizeof(T);
  for (int64_t j = 0; j < width; j += kLine) __builtin_prefetch(row + kRows * step + j);
  __builtin_prefetch(row + kRows * step + width - 1);
}

/// y = x for short rows: blocks of constant length spare a call of memcpy for each.
template <class T>
inline void copy_short(const T* x, int64_t n, acc_t<T>* y) {
  int64_t j = 0;
  for (; j + 8 <= n; j += 8) convert(x + j, 8, y + j);
  if (n & 4) convert(x + j, 4, y + j), j += 4;
  if (n & 2) convert(x + j, 2, y + j), j += 2;
  if (n & 1) y[j] = cast<acc_t<T>>(x[j]);
}

}  // namespace detail

/// panel[k * pitch + j] = x[k * along + j * across] for k < depth, j < width ≤ pitch, converted to
/// the arithmetic type; columns width … pitch-1 become 0.
template <class T>
inline void pack_panel(const T* x, int64_t along, int64_t across, int64_t depth, int64_t width,
                       int64_t pitch, acc_t<T>* panel) {
  using A = acc_t<T>;
  constexpr int64_t kSide = detail::Square<A>::kSide;
  if (width < pitch) std::fill(panel, panel + depth * pitch, A(0));
  if (across == 1) {
    for (int64_t k = 0; k < depth; ++k) {
      detail::fetch_ahead(x + k * along, along, width);
      detail::copy_short(x + k * along, width, panel + k * pitch);
    }
    return;
  }
  const int64_t squares = along == 1 ? depth / kSide * kSide : 0;
  const int64_t whole = squares > 0 ? width / kSide * kSide : 0;
  detail::for_each_square<kSide>(whole, squares, [&](int64_t j, int64_t k) {
    detail::transpose_square(x + j * across + k, across, panel + k * pitch + j, pitch);
  });
  for (int64_t k = 0; k < depth; ++k)
    for (int64_t j = k < squares ? whole : 0; j < width; ++j)
      panel[k * pitch + j] = cast<A>(x[k * along + j * across]);
}

}  // namespace diptych::cpu
