// tensor/cpu/attention_grad.cpp — multi-head attention over packed sequences, backward: P is
// computed again from lse, tile by tile.
#include "tensor/cpu/attention.h"
#include "tensor/cpu/row_groups.h"

namespace diptych::cpu {
namespace {

/// scores becomes P, and dp becomes dS; both 0 where masked.
template <class T, class A>
void grad_tile(const Head<T>& head, const Tile& tile, const A* lse, const A* delta, A* scores,
               A* dp) {
  const A scale = head.scale;
  for (int64_t r = 0; r < tile.queries; ++r) {
    const int64_t i = tile.q0 + r, seen = head.visible(i, tile.k0, tile.keys);
    const int64_t n = padded<A>(seen), end = padded<A>(tile.keys);
    A* __restrict p = scores + r * tile.pitch;
    A* __restrict ds = dp + r * tile.pitch;
    const A shift = lse[i], mean = delta[i];
    for (int64_t j = 0; j < n; ++j) {
      p[j] = scalar::exp(scale * p[j] - shift);
      ds[j] = p[j] * (ds[j] - mean);
    }
    std::fill(p + seen, p + end, A(0));
    std::fill(ds + seen, ds + end, A(0));
  }
}

/// Σ g y over one row of a head.
template <class T, class A = acc_t<T>>
A dot(const Head<T>& head, const T* g, const T* y) {
  vec<A> total{};
  for_each_vector<A>(head.width, [&](int64_t d, int64_t n) {
    total += load_wide(g + d, n) * load_wide(y + d, n);
  });
  return sum_lanes<A>(total);
}

/// The packed operands and sums of the backward pass.
template <class T>
struct GradBuffers {
  using A = acc_t<T>;
  using P = factor_t<T>;

  GradBuffers(const Head<T>& head, int64_t tile_pitch) {
    static thread_local Scratch scratch;
    const HeadSizes of(head, tile_pitch);
    Pieces<A> pieces(
        scratch.get<A>(8 * of.rows + 2 * of.transposed + 4 * of.tile + padded<A>(head.tokens)));
    const auto factor = [&](int64_t n) { return reinterpret_cast<P*>(pieces.take(n)); };
    for (P** piece : {&q, &k, &g, &left_q, &left_g}) *piece = factor(of.rows);
    for (P** piece : {&k_transposed, &v_transposed}) *piece = factor(of.transposed);
    for (P** piece : {&weights, &left_ds}) *piece = factor(of.tile);
    for (A** piece : {&scores, &dp}) *piece = pieces.take(of.tile);
    for (A** piece : {&dq, &dk, &dv}) {
      *piece = pieces.take(of.rows);
      std::fill(*piece, *piece + of.rows, A(0));
    }
    delta = pieces.take(head.tokens);
  }

  P *q, *k, *g, *left_q, *left_g, *k_transposed, *v_transposed, *weights, *left_ds;
  A *dq, *dk, *dv, *scores, *dp, *delta;
};

template <class T>
void write_rows(const Head<T>& head, const acc_t<T>* x, acc_t<T> factor, T* to) {
  for (int64_t i = 0; i < head.tokens; ++i)
    scale_row(x + i * head.pitch, head.width, factor, to + i * 3 * head.row);
}

template <class T>
void attend_grad(const Head<T>& head, const T* q, const T* y, const acc_t<T>* lse, const T* g,
                 T* dq) {
  using A = acc_t<T>;
  const int64_t tokens = head.tokens, tile_pitch = std::min(kKeyTile, head.keys_pitch);
  const GradBuffers<T> b(head, tile_pitch);
  const auto queries = head.left_rows(q, 3 * head.row, b.left_q);
  const auto gradients = head.left_rows(g, head.row, b.left_g);
  head.pack_rows(q, 3 * head.row, b.q);
  head.pack_rows(q + head.row, 3 * head.row, b.k);
  head.pack_rows(g, head.row, b.g);
  head.pack_transposed(q + head.row, 3 * head.row, b.k_transposed);
  head.pack_transposed(q + 2 * head.row, 3 * head.row, b.v_transposed);
  for (int64_t i = 0; i < tokens; ++i) b.delta[i] = dot(head, g + i * head.row, y + i * head.row);
  for (int64_t q0 = 0; q0 < tokens; q0 += kQueryTile) {
    const int64_t q1 = std::min(tokens, q0 + kQueryTile), keys = head.causal ? q1 : tokens;
    for (int64_t k0 = 0; k0 < keys; k0 += kKeyTile) {
      const Tile tile{q0, q1 - q0, k0, std::min(kKeyTile, keys - k0), tile_pitch};
      score_tile(head, tile, queries, b.k_transposed, b.scores);
      score_tile(head, tile, gradients, b.v_transposed, b.dp);
      grad_tile(head, tile, lse, b.delta, b.scores, b.dp);
      add_over_keys(head, tile, over_keys(head, tile, b.dp, b.left_ds), b.k, b.dq);
      add_over_queries(head, tile, over_queries(head, tile, b.dp, b.weights), b.q, b.dk);
      add_over_queries(head, tile, over_queries(head, tile, b.scores, b.weights), b.g, b.dv);
    }
  }
  write_rows(head, b.dq, head.scale, dq);
  write_rows(head, b.dk, head.scale, dq + head.row);
  write_rows(head, b.dv, A(1), dq + 2 * head.row);
}

}  // namespace

void attention_grad(const Tensor& qkv, const Ragged& layout, int64_t heads, bool causal,
                    const Tensor& y, const Tensor& lse, const Tensor& g, Tensor& dqkv) {
  const int64_t total = qkv.dim(0), d = y.dim(1);
  visit_float(qkv.dtype(), [&]<class T>(Type<T>) {
    const T *px = qkv.data<T>(), *py = y.data<T>(), *pg = g.data<T>();
    T* pd = dqkv.data<T>();
    const auto* ps = lse.data<acc_t<T>>();
    const auto one = [&](const Head<T>& head, int64_t first, int64_t h) {
      const int64_t at = first * d + h * head.width, at_qkv = first * 3 * d + h * head.width;
      attend_grad(head, px + at_qkv, py + at, ps + h * total + first, pg + at, pd + at_qkv);
    };
    for_each_head<T>({{px, 3 * d}, {py, d}, {pg, d}}, layout, heads, d, causal, one);
  });
}

}  // namespace diptych::cpu
