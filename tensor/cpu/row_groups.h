// tensor/cpu/row_groups.h — loops that run along a few rows of a matrix at once.
//
// Sums over rows keep a value for every column. A group of rows loads and stores it once, and
// memory is read as a few long streams, which the processor foresees.
#pragma once

#include <type_traits>

#include "tensor/cpu/convert.h"
#include "tensor/cpu/simd.h"

namespace diptych::cpu {

/// n ≤ kLanes values from p in the arithmetic type, and zeros behind them.
template <class T>
inline vec<acc_t<T>> load_wide(const T* p, int64_t n) {
  using A = acc_t<T>;
  if constexpr (std::is_same_v<T, A>) {
    return n == kLanes<A> ? load(p) : load_some(p, n);
  } else {
    if (n == kLanes<A>) return load_floats<kLanes<A>>(p);
    T some[kLanes<A>] = {};
    for (int64_t l = 0; l < n; ++l) some[l] = p[l];
    return load_floats<kLanes<A>>(some);
  }
}

/// The first n lanes of v, converted.
template <class T>
inline void store_narrow(T* p, const vec<acc_t<T>>& v, int64_t n) {
  using A = acc_t<T>;
  if constexpr (std::is_same_v<T, A>) {
    n == kLanes<A> ? store(p, v) : store_some(p, v, n);
  } else {
    if (n == kLanes<A>) return store_floats<kLanes<A>>(p, v);
    T some[kLanes<A>];
    store_floats<kLanes<A>>(some, v);
    for (int64_t l = 0; l < n; ++l) p[l] = some[l];
  }
}

/// The sum of the lanes of a vector of A.
template <class A>
inline A sum_lanes(const vec<A>& v) {
  return detail::fold_vector<A, kLanes<A>>(v, Sum{});
}

/// Calls f(rows of the group, a constant, and its first row) for begin ≤ row < end.
template <class F>
inline void for_each_group(int64_t begin, int64_t end, const F& f) {
  constexpr int kRows = 4;
  int64_t i = begin;
  for (; i + kRows <= end; i += kRows) f(std::integral_constant<int, kRows>{}, i);
  for (; i < end; ++i) f(std::integral_constant<int, 1>{}, i);
}

/// Calls f(j, n) for the vectors of a row, columns j … j+n-1 each.
template <class A, class F>
inline void for_each_vector(int64_t width, const F& f) {
  int64_t j = 0;
  for (; j + kLanes<A> <= width; j += kLanes<A>) f(j, int64_t{kLanes<A>});
  if (j < width) f(j, width - j);
}

}  // namespace diptych::cpu
