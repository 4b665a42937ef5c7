// tensor/cpu/pack_pairs.h — pack_panel for bf16 that stays bf16: two terms of a sum become one
// element.
#pragma once

#include <utility>

#include "tensor/cpu/pack.h"

namespace diptych::cpu {

namespace detail {

/// y[j] = (even[j], odd[j]) for j < sizeof...(I) / 2
template <int... I>
inline void zip_some(const bf16* even, const bf16* odd, BfPair* y,
                     std::integer_sequence<int, I...>) {
  constexpr int N = sizeof...(I) / 2;
  HalfBits<N> low, high;
  std::memcpy(&low, even, sizeof low);
  std::memcpy(&high, odd, sizeof high);
  const auto pairs = __builtin_shufflevector(low, high, (I / 2 + I % 2 * N)...);
  std::memcpy(static_cast<void*>(y), &pairs, sizeof pairs);
}

template <int N>
inline void zip_some(const bf16* even, const bf16* odd, BfPair* y) {
  zip_some(even, odd, y, std::make_integer_sequence<int, 2 * N>{});
}

inline void zip_rows(const bf16* even, const bf16* odd, int64_t n, BfPair* y) {
  int64_t j = 0;
  for (; j + 16 <= n; j += 16) zip_some<16>(even + j, odd + j, y + j);
  if (n & 8) zip_some<8>(even + j, odd + j, y + j), j += 8;
  for (; j < n; ++j) y[j] = {even[j], odd[j]};
}

/// A square of pairs, moved as if they were floats.
inline void transpose_pairs(const bf16* x, int64_t step_x, BfPair* y, int64_t step_y) {
  using S = Square<float>;
  const auto load = [&](int j, S::type& row) { std::memcpy(&row, x + j * step_x, sizeof row); };
  transpose_square<S>(load, y, step_y);
}

}  // namespace detail

/// panel[k / 2 * pitch + j] = (x[k * along + j * across], x[(k + 1) * along + j * across]) for even
/// k < depth and j < width ≤ pitch; terms and columns that do not exist are 0.
inline void pack_panel(const bf16* x, int64_t along, int64_t across, int64_t depth, int64_t width,
                       int64_t pitch, BfPair* panel) {
  constexpr int64_t kSide = detail::Square<float>::kSide;
  const int64_t pairs = depth / 2;
  if (width < pitch) std::fill(panel, panel + (depth + 1) / 2 * pitch, BfPair{});
  for (int64_t j = 0; depth % 2 != 0 && j < width; ++j)
    panel[pairs * pitch + j] = {x[(depth - 1) * along + j * across], bf16{}};
  if (across == 1) {
    for (int64_t k = 0; k < pairs; ++k) {
      const bf16* even = x + 2 * k * along;
      detail::fetch_ahead(even, along, width);
      detail::fetch_ahead(even + along, along, width);
      detail::zip_rows(even, even + along, width, panel + k * pitch);
    }
    return;
  }
  const int64_t squares = along == 1 ? pairs / kSide * kSide : 0;
  const int64_t whole = squares > 0 ? width / kSide * kSide : 0;
  detail::for_each_square<kSide>(whole, squares, [&](int64_t j, int64_t k) {
    detail::transpose_pairs(x + j * across + 2 * k, across, panel + k * pitch + j, pitch);
  });
  for (int64_t k = 0; k < pairs; ++k)
    for (int64_t j = k < squares ? whole : 0; j < width; ++j) {
      const bf16* even = x + 2 * k * along + j * across;
      panel[k * pitch + j] = {even[0], even[along]};
    }
}

}  // namespace diptych::cpu
