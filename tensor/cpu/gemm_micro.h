// tensor/cpu/gemm_micro.h — the innermost loop of every matrix product: a small block of c held in
// registers.
#pragma once

#include <array>
#include <utility>

#include "tensor/cpu/factor.h"
#include "tensor/cpu/upcoming.h"

namespace diptych::cpu {

// A block of kTileRows × (kTileVectors vectors) of c stays in registers while k runs: each step
// loads kTileVectors vectors of b and broadcasts kTileRows values of a, and does rows × vectors
// fused multiply-adds with them. The block is as large as the register file allows (32 vector
// registers with AVX-512, else 16), because loads per multiply-add shrink with its side.
#if defined(__AVX512F__)
constexpr int kTileRows = 8, kTileVectors = 3;
#else
constexpr int kTileRows = 6, kTileVectors = 2;
#endif

/// Elements of a column of b per pass over c, so that a panel of b (kPassDepth, kTileColumns) stays
/// in the second-level cache.
constexpr int64_t kPassDepth = 768;

constexpr int64_t kFetchSteps = 32;

template <class T>
constexpr int kTileColumns = kTileVectors* kLanes<T>;

/// What a block of the product is added to, and where it goes: c = add + bias + a b. `add` and
/// `bias` may be null; `add` has the row stride of c. Of the last vector of each row only the first
/// `last` values exist, in c, add and bias.
template <class T>
struct TileOut {
  T* c;
  int64_t stride;
  const T* bias;
  const T* add;
  int64_t last = kLanes<T>;
  Upcoming* next = nullptr;  ///< fetched along with the work, by a call every kFetchSteps steps
};

/// The start of every kernel: the block of c is on its way from memory while the sums are formed.
template <class T, int R, int V>
[[gnu::always_inline]] inline void prefetch_tile(const TileOut<T>& out) {
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) __builtin_prefetch(out.c + r * out.stride + v * kLanes<T>, 1);
}

/// The end of every kernel: writes its sums out.
template <class T, int R, int V>
[[gnu::always_inline]] inline void store_tile(const vec<T> (&sum)[R][V], const TileOut<T>& out) {
  const TileOut<T> to = out;
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
      const int64_t column = v * kLanes<T>, at = r * to.stride + column;
      vec<T> y = sum[r][v];
      if (v < V - 1 || to.last == kLanes<T>) {
        if (to.bias) y += load(to.bias + column);
        if (to.add) y += load(to.add + at);
        store(to.c + at, y);
      } else {
        if (to.bias) y += load_some(to.bias + column, to.last);
        if (to.add) y += load_some(to.add + at, to.last);
        store_some(to.c + at, y, to.last);
      }
    }
  }
}

/// sum (R, V vectors) += a b for one element of each row of a and V vectors of b.
template <class P, int R, int V, class Row>
[[gnu::always_inline]] inline void add_step(const Row& row, const P* b,
                                            vec<sum_t<P>> (&sum)[R][V]) {
  vec<P> column[V];
#pragma GCC unroll 8
  for (int v = 0; v < V; ++v) column[v] = load(b + v * kLanes<P>);
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    const auto x = spread(row(r));
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) sum[r][v] = multiply_add(x, column[v], sum[r][v]);
  }
}

/// a (R, depth) with any strides, b (depth, V vectors) with unit column stride; all in elements.
template <class P, int R, int V>
void tile_product(int64_t depth, const P* a, int64_t row_a, int64_t step_a, const P* b,
                  int64_t step_b, const TileOut<sum_t<P>>& out) {
  using A = sum_t<P>;
  prefetch_tile<A, R, V>(out);
  vec<A> sum[R][V] = {};
  for (int64_t k = 0, stop = 0; k < depth; ++k) {
    if (k == stop) {
      if (out.next) out.next->fetch_some();
      stop += kFetchSteps;
    }
    add_step<P, R, V>([&](int r) { return a + r * row_a; }, b, sum);
    a += step_a;
    b += step_b;
  }
  store_tile<A, R, V>(sum, out);
}

template <class P>
using TileProduct = void (*)(int64_t depth, const P* a, int64_t row_a, int64_t step_a, const P* b,
                             int64_t step_b, const TileOut<sum_t<P>>& out);

namespace detail {
template <class P, int... I>
constexpr auto tile_products(std::integer_sequence<int, I...>) {
  return std::array<TileProduct<P>, sizeof...(I)>{
      &tile_product<P, I / kTileVectors + 1, I % kTileVectors + 1>...};
}
}  // namespace detail

/// The kernel for a block of `rows` ≤ kTileRows by `vectors` ≤ kTileVectors: blocks at the edge of
/// c have kernels of their own, so that little is computed in vain.
template <class P>
inline TileProduct<P> tile_product_of(int64_t rows, int64_t vectors) {
  static constexpr auto kTable =
      detail::tile_products<P>(std::make_integer_sequence<int, kTileRows * kTileVectors>{});
  return kTable[static_cast<size_t>((rows - 1) * kTileVectors + vectors - 1)];
}

/// A block of any width: `rows` ≤ kTileRows, b and c (…, vectors) in place, not packed. For
/// products so small that their operands are in the first-level cache already.
template <class P>
inline void panel_product(int64_t rows, int64_t vectors, int64_t depth, const P* a, int64_t row_a,
                          int64_t step_a, const P* b, int64_t step_b,
                          const TileOut<sum_t<P>>& out) {
  for (int64_t v = 0; v < vectors; v += kTileVectors) {
    const int64_t count = vectors - v < kTileVectors ? vectors - v : kTileVectors;
    const int64_t at = v * kLanes<P>;
    tile_product_of<P>(rows, count)(
        depth, a, row_a, step_a, b + at, step_b,
        {out.c + at, out.stride, out.bias ? out.bias + at : nullptr,
         out.add ? out.add + at : nullptr, v + count == vectors ? out.last : kLanes<P>});
  }
}

}  // namespace diptych::cpu
