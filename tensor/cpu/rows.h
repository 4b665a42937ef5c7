// tensor/cpu/rows.h — loops over the rows of a matrix.
#pragma once

#include <algorithm>

#include "tensor/cpu/convert.h"
#include "tensor/cpu/scratch.h"
#include "tensor/cpu/simd.h"
#include "tensor/parallel.h"
#include "tensor/scalar_math.h"

namespace diptych::cpu {

/// Rows that make a thread worth waking.
inline int64_t row_grain(int64_t width) {
  return std::max<int64_t>(1, 8192 / std::max<int64_t>(1, width));
}

/// Calls f(row, room) for every row, in parallel; room holds `buffers` rows of A.
template <class A, class F>
void for_each_row(int64_t rows, int64_t width, int buffers, const F& f) {
  parallel_for(rows, row_grain(width), [&](int64_t begin, int64_t end) {
    static thread_local Scratch scratch;
    A* room = scratch.get<A>(buffers * width);
    for (int64_t row = begin; row < end; ++row) f(row, room);
  });
}

/// y = eˣ⁻ᵐ; returns Σ y. Not inlined, or it would lose __restrict and with it the vectoriser.
template <class A>
[[gnu::noinline]] A exp_shifted(const A* __restrict x, A m, int64_t n, A* __restrict y) {
  for (int64_t i = 0; i < n; ++i) y[i] = scalar::exp(x[i] - m);
  return sum<A>(n, y);
}

/// A sum over rows is cut into chunks of a length that depends on the number of rows alone; the
/// sums of the chunks are added in order. So the result does not depend on the number of threads.
struct RowChunks {
  explicit RowChunks(int64_t n) : rows(n), length(std::max<int64_t>(64, (n + 63) / 64)) {}
  int64_t count() const { return (rows + length - 1) / length; }
  int64_t begin(int64_t chunk) const { return chunk * length; }
  int64_t end(int64_t chunk) const { return std::min(rows, begin(chunk) + length); }

  int64_t rows, length;
};

/// total[j] = Σ parts[k][j] over k in order; parts (count, width).
template <class A, class T>
void add_parts(const A* parts, int64_t count, int64_t width, T* total) {
  constexpr int64_t kBlock = 256;
  parallel_for(width, 16 * kBlock, [&](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; j += kBlock) {
      A sums[kBlock] = {};
      const int64_t n = std::min(kBlock, end - j);
      for (int64_t k = 0; k < count; ++k)
        for (int64_t i = 0; i < n; ++i) sums[i] += parts[k * width + j + i];
      convert(sums, n, total + j);
    }
  });
}

}  // namespace diptych::cpu
