// tensor/cpu/attention_grad.cpp — multi-head attention over packed sequences, backward: P is
// computed again from lse, tile by tile.
#include "tensor/cpu/attention.h"

namespace diptych::cpu {
namespace {

/// scores becomes P, and dp becomes dS; both 0 where masked.
template <class T, class A>
void grad_tile(const Head<T>& head, const Tile& tile, const A* lse, const A* delta, A* scores,
               A* dp) {
  for (int64_t r = 0; r < tile.queries; ++r) {
    const int64_t i = tile.q0 + r, seen = head.visible(i, tile.k0, tile.keys);
    const int64_t n = padded<A>(seen), end = padded<A>(tile.keys);
    A* __restrict p = scores + r * tile.pitch;
    A* __restrict ds = dp + r * tile.pitch;
    const A shift = lse[i], mean = delta[i];
    for (int64_t j = 0; j < n; ++j) {
      p[j] = scalar::exp(p[j] - shift);
      ds[j] = p[j] * (ds[j] - mean);
    }
    std::fill(p + seen, p + end, A(0));
    std::fill(ds + seen, ds + end, A(0));
  }
}

/// Σ g y over one row of a head.
template <class T, class A>
A dot(const Head<T>& head, const A* g, const T* y) {
  A total = 0;
  for (int64_t d = 0; d < head.width; ++d) total += g[d] * static_cast<A>(y[d]);
  return total;
}

/// The packed operands and sums of the backward pass.
template <class A>
struct GradBuffers {
  A *q, *k, *g, *k_transposed, *v_transposed, *dq, *dk, *dv, *scores, *dp, *delta;
};

template <class T, class A>
GradBuffers<A> grad_buffers(const Head<T>& head, int64_t tile_pitch) {
  static thread_local Scratch scratch;
  const int64_t whole = head.tokens * head.pitch, transposed = head.width * head.keys_pitch;
  const int64_t tile = kQueryTile * tile_pitch;
  Pieces<A> p(scratch.get<A>(6 * whole + 2 * transposed + 2 * tile + padded<A>(head.tokens)));
  GradBuffers<A> b{};
  for (A** piece : {&b.q, &b.k, &b.g, &b.dq, &b.dk, &b.dv}) *piece = p.take(whole);
  for (A** piece : {&b.k_transposed, &b.v_transposed}) *piece = p.take(transposed);
  for (A** piece : {&b.scores, &b.dp}) *piece = p.take(tile);
  b.delta = p.take(head.tokens);
  std::fill(b.dq, b.dq + 3 * whole, A(0));  // dq, dk, dv
  return b;
}

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
  const GradBuffers<A> b = grad_buffers<T, A>(head, tile_pitch);
  head.pack_rows(q, 3 * head.row, head.scale, b.q);
  head.pack_rows(q + head.row, 3 * head.row, A(1), b.k);
  head.pack_rows(g, head.row, A(1), b.g);
  head.pack_transposed(q + head.row, 3 * head.row, b.k_transposed);
  head.pack_transposed(q + 2 * head.row, 3 * head.row, b.v_transposed);
  for (int64_t i = 0; i < tokens; ++i)
    b.delta[i] = dot(head, b.g + i * head.pitch, y + i * head.row);
  for (int64_t q0 = 0; q0 < tokens; q0 += kQueryTile) {
    const int64_t q1 = std::min(tokens, q0 + kQueryTile), keys = head.causal ? q1 : tokens;
    for (int64_t k0 = 0; k0 < keys; k0 += kKeyTile) {
      const Tile tile{q0, q1 - q0, k0, std::min(kKeyTile, keys - k0), tile_pitch};
      score_tile(head, tile, b.q, b.k_transposed, b.scores);
      score_tile(head, tile, b.g, b.v_transposed, b.dp);
      grad_tile(head, tile, lse, b.delta, b.scores, b.dp);
      add_over_keys(head, tile, b.dp, b.k, b.dq);
      add_over_queries(head, tile, b.dp, b.q, b.dk);
      add_over_queries(head, tile, b.scores, b.g, b.dv);
    }
  }
  write_rows(head, b.dq, head.scale, dq);
  write_rows(head, b.dk, A(1), dq + head.row);  // q carries the scale already
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
