// tensor/cpu/attention.cpp — multi-head attention over packed sequences, forward: online softmax
// (Milakov and Gimelshein, 2018; Dao et al., 2022) keeps a running maximum and sum per query, and
// rescales what was summed before when a later tile has a larger score.
#include "tensor/cpu/attention.h"

namespace diptych::cpu {
namespace {

/// x = e^(scale x - m)
template <class A>
void exp_shifted(A* __restrict x, int64_t n, A scale, A m) {
  for (int64_t j = 0; j < n; ++j) x[j] = scalar::exp(scale * x[j] - m);
}

/// State of the online softmax of a sequence: Σ e^(S - most) v, Σ e^(S - most) and most.
template <class A>
struct Running {
  A *y, *total, *most;
};

/// Turns a tile of scores into weights and rescales what was summed under a smaller maximum.
template <class T, class A>
void softmax_tile(const Head<T>& head, const Tile& tile, A* scores, const Running<A>& run) {
  for (int64_t r = 0; r < tile.queries; ++r) {
    A* row = scores + r * tile.pitch;
    const int64_t i = tile.q0 + r, seen = head.visible(i, tile.k0, tile.keys);
    const int64_t n = padded<A>(seen);
    std::fill(row + seen, row + n, -std::numeric_limits<A>::infinity());
    std::fill(row + n, row + padded<A>(tile.keys), A(0));
    if (seen == 0) continue;
    const A before = run.most[i], most = std::max(head.scale * max<A>(n, row), before);
    exp_shifted(row, n, head.scale, most);
    const A shrink = tile.k0 == 0 ? A(0) : scalar::exp(before - most);
    run.most[i] = most;
    run.total[i] = run.total[i] * shrink + sum<A>(n, row);
    if (tile.k0 > 0)
      for (int64_t d = 0; d < head.pitch; ++d) run.y[i * head.pitch + d] *= shrink;
  }
}

/// The packed operands and sums of the forward pass.
template <class T>
struct Buffers {
  using A = acc_t<T>;
  using P = factor_t<T>;

  Buffers(const Head<T>& head, int64_t tile_pitch) {
    static thread_local Scratch scratch;
    const HeadSizes of(head, tile_pitch);
    Pieces<A> pieces(
        scratch.get<A>(3 * of.rows + of.transposed + 2 * of.tile + 2 * padded<A>(head.tokens)));
    const auto factor = [&](int64_t n) { return reinterpret_cast<P*>(pieces.take(n)); };
    q = factor(of.rows), v = factor(of.rows), k = factor(of.transposed), weights = factor(of.tile);
    scores = pieces.take(of.tile);
    run = {pieces.take(of.rows), pieces.take(head.tokens), pieces.take(head.tokens)};
    std::fill(run.y, run.y + head.tokens * head.pitch, A(0));
    std::fill(run.total, run.total + head.tokens, A(0));
    std::fill(run.most, run.most + head.tokens, -std::numeric_limits<A>::infinity());
  }

  P *q, *k, *v, *weights;
  A* scores;
  Running<A> run;
};

template <class T>
void attend(const Head<T>& head, const T* q, T* y, acc_t<T>* lse) {
  using A = acc_t<T>;
  const int64_t tokens = head.tokens, tile_pitch = std::min(kKeyTile, head.keys_pitch);
  const Buffers<T> b(head, tile_pitch);
  const auto queries = head.left_rows(q, 3 * head.row, b.q);
  head.pack_transposed(q + head.row, 3 * head.row, b.k);
  head.pack_rows(q + 2 * head.row, 3 * head.row, b.v);
  for (int64_t q0 = 0; q0 < tokens; q0 += kQueryTile) {
    const int64_t q1 = std::min(tokens, q0 + kQueryTile), keys = head.causal ? q1 : tokens;
    for (int64_t k0 = 0; k0 < keys; k0 += kKeyTile) {
      const Tile tile{q0, q1 - q0, k0, std::min(kKeyTile, keys - k0), tile_pitch};
      score_tile(head, tile, queries, b.k, b.scores);
      softmax_tile(head, tile, b.scores, b.run);
      add_over_keys(head, tile, over_keys(head, tile, b.scores, b.weights), b.v, b.run.y);
    }
  }
  for (int64_t i = 0; i < tokens; ++i) {
    scale_row(b.run.y + i * head.pitch, head.width, A(1) / b.run.total[i], y + i * head.row);
    lse[i] = b.run.most[i] + std::log(b.run.total[i]);
  }
}

}  // namespace

void attention(const Tensor& qkv, const Ragged& layout, int64_t heads, bool causal, Tensor& y,
               Tensor& lse) {
  const int64_t total = qkv.dim(0), d = y.dim(1);
  visit_float(qkv.dtype(), [&]<class T>(Type<T>) {
    const T* px = qkv.data<T>();
    T* py = y.data<T>();
    auto* ps = lse.data<acc_t<T>>();
    const auto one = [&](const Head<T>& head, int64_t first, int64_t h) {
      const int64_t column = h * head.width;
      attend(head, px + first * 3 * d + column, py + first * d + column, ps + h * total + first);
    };
    for_each_head<T>({{px, 3 * d}}, layout, heads, d, causal, one);
  });
}

}  // namespace diptych::cpu
