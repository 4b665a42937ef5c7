// tensor/cpu/gemm_split.h — how matrix products are shared among threads. None of this changes a
// result: every element of c is one sum over k, in the same order wherever it is computed.
#pragma once

#include <algorithm>

#include "tensor/parallel.h"

namespace diptych::cpu {

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Elements begin … end-1.
struct Range {
  int64_t begin, end;
};

/// How many threads share c, as a grid of down × across parts.
struct Grid {
  int64_t down = 1, across = 1;

  /// The split of `panels_m` × `panels_n` tiles with the least work for the busiest thread.
  static Grid even(int64_t threads, int64_t panels_m, int64_t panels_n) {
    Grid best;
    int64_t least = panels_m * panels_n;
    for (int64_t d = 1; d <= threads; ++d) {
      const int64_t a = threads / d;
      const int64_t most = ceil_div(panels_m, d) * ceil_div(panels_n, a);
      if (most > least || (most == least && d != 1 && a >= d)) continue;
      least = most;
      best = {d, a};
    }
    return best;
  }

  int64_t parts() const { return down * across; }
  /// Of `panels` row panels and column panels those of one part.
  Range rows(int64_t part, int64_t panels) const { return cut(part / across, down, panels); }
  Range columns(int64_t part, int64_t panels) const { return cut(part % across, across, panels); }

  static Range cut(int64_t i, int64_t pieces, int64_t panels) {
    return {panels * i / pieces, panels * (i + 1) / pieces};
  }
};

/// Calls f(row panels, column panels) for every part of the grid, in parallel.
template <class F>
void for_each_part(const Grid& grid, int64_t panels_m, int64_t panels_n, const F& f) {
  parallel_for(grid.parts(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part)
      f(grid.rows(part, panels_m), grid.columns(part, panels_n));
  });
}

/// Threads worth waking for one product.
inline int64_t useful_threads(int64_t multiplications) {
  if (diptych::detail::run_in_line()) return 1;
  constexpr int64_t kWorthAThread = int64_t{1} << 18;
  return std::clamp<int64_t>(multiplications / kWorthAThread, 1, num_threads());
}

/// Whether threads take whole products or share each one: they take whole ones when that divides
/// the work evenly or the products are small.
inline bool split_by_product(int64_t products, int64_t multiplications) {
  const int64_t threads = num_threads();
  return products % threads == 0 || products >= 8 * threads || multiplications < (int64_t{1} << 18);
}

}  // namespace diptych::cpu
