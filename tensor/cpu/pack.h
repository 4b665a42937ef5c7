// tensor/cpu/pack.h — copies a panel of a strided matrix into the order in which a kernel reads it.
#pragma once

#include <algorithm>
#include <cstring>

#include "tensor/cpu/convert.h"
#include "tensor/cpu/factor.h"

namespace diptych::cpu {

namespace detail {

template <class A>
struct Square;  // a vector as long as the side of the square that one transposition handles

template <>
struct Square<float> {
  static constexpr int kSide = 8;
  typedef float type __attribute__((vector_size(32)));
  static void zip(const type& a, const type& b, type* out) {
    out[0] = __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
    out[1] = __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
  }
};

template <>
struct Square<double> {
  static constexpr int kSide = 4;
  typedef double type __attribute__((vector_size(32)));
  static void zip(const type& a, const type& b, type* out) {
    out[0] = __builtin_shufflevector(a, b, 0, 4, 1, 5);
    out[1] = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  }
};

/// y[k * step_y + j] = element k of row j, which load(j) returns, for j, k < kSide. Zipping row i
/// with row i + side/2, log₂ side times over, is a transposition: each round moves one bit of the
/// row number into the column number.
template <class S, class Load, class P>
inline void transpose_square(const Load& load, P* y, int64_t step_y) {
  typename S::type row[S::kSide], zipped[S::kSide];
  for (int j = 0; j < S::kSide; ++j) row[j] = load(j);
  for (int round = 1; round < S::kSide; round *= 2) {
    for (int j = 0; j < S::kSide / 2; ++j) S::zip(row[j], row[j + S::kSide / 2], zipped + 2 * j);
    for (int j = 0; j < S::kSide; ++j) row[j] = zipped[j];
  }
  for (int k = 0; k < S::kSide; ++k)
    std::memcpy(static_cast<void*>(y + k * step_y), &row[k], sizeof row[k]);
}

/// y[k * step_y + j] = x[j * step_x + k] for j, k < kSide
template <class T>
inline void transpose_square(const T* x, int64_t step_x, acc_t<T>* y, int64_t step_y) {
  using S = Square<acc_t<T>>;
  const auto load = [&](int j) {
    acc_t<T> values[S::kSide];
    typename S::type row;
    convert(x + j * step_x, S::kSide, values);
    std::memcpy(&row, values, sizeof values);
    return row;
  };
  transpose_square<S>(load, y, step_y);
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
    for (int64_t k = 0; k < depth; ++k) detail::copy_short(x + k * along, width, panel + k * pitch);
    return;
  }
  int64_t j = 0;
  if (along == 1) {
    const int64_t squares = depth / kSide * kSide;
    for (; j + kSide <= width; j += kSide) {
      for (int64_t k = 0; k < squares; k += kSide)
        detail::transpose_square(x + j * across + k, across, panel + k * pitch + j, pitch);
      for (int64_t k = squares; k < depth; ++k)
        for (int64_t i = j; i < j + kSide; ++i) panel[k * pitch + i] = cast<A>(x[k + i * across]);
    }
  }
  for (; j < width; ++j)
    for (int64_t k = 0; k < depth; ++k) panel[k * pitch + j] = cast<A>(x[k * along + j * across]);
}

}  // namespace diptych::cpu
