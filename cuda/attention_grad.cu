// cuda/attention_grad.cu — multi-head attention over packed sequences, backward: P is computed
// again from lse, tile by tile, once by the tiles of queries and once by those of keys.
#include "cuda/attention_tiles.cuh"

namespace diptych::cuda {
namespace {

/// δ[h, i] = Σ_d g[i, h, d] y[i, h, d]: a warp for each.
template <class T>
__global__ void row_products(Heads<T> heads, const T* g, const T* y, acc_t<T>* delta) {
  const int64_t item = thread_number() / kWarp, i = item / heads.heads, h = item % heads.heads;
  const int64_t at = i * heads.D + h * heads.width;
  const int width = i < heads.total ? heads.width : 0;
  acc_t<T> sum = 0;
  for (int d = lane(); d < width; d += kWarp) sum += widen(g[at + d]) * widen(y[at + d]);
  sum = warp_fold(sum, Sum{});
  if (lane() == 0 && width > 0) delta[h * heads.total + i] = sum;
}

/// dQ = s dS K, a tile of queries per block.
template <class Tiles, class T>
__global__ void grad_queries(Heads<T> heads, T* g, Statistics<acc_t<T>> statistics, T* dqkv) {
  using A = acc_t<T>;
  DIPTYCH_DYNAMIC_SHARED(unsigned char, shared);
  const Block b = heads.template block<Tiles>();
  const Statistics<A> of = heads.of(b, statistics);
  Tiles tiles(shared, b, 2);
  tiles.keep(0, heads.query(b));
  tiles.keep(1, heads.rows(b, g, 1, 0));
  typename Tiles::Sums dq = {};
  const int end = b.keys_end(Tiles::kRows);
  for (int k0 = 0; k0 < end; k0 += Tiles::kOther) {
    typename Tiles::Scores p, ds;
    tiles.dots(0, heads.key(b), k0, p);
    tiles.dots(1, heads.value(b), k0, ds);
    weigh<Tiles, true>(b, k0, heads.scale, of, p, ds);
    tiles.add_weighted(0, ds, heads.key(b), k0, dq);
  }
  write_rows<Tiles>(b, heads.scale, dq, heads.rows(b, dqkv, 3, 0));
}

/// dK = s dSᵀ Q and dV = Pᵀ G, a tile of keys per block: its scores are transposed.
template <class Tiles, class T>
__global__ void grad_keys(Heads<T> heads, T* g, Statistics<acc_t<T>> statistics, T* dqkv) {
  using A = acc_t<T>;
  DIPTYCH_DYNAMIC_SHARED(unsigned char, shared);
  const Block b = heads.template block<Tiles>();
  const Statistics<A> of = heads.of(b, statistics);
  const Rows<T> query = heads.query(b), above = heads.rows(b, g, 1, 0);
  Tiles tiles(shared, b, 2);
  tiles.keep(0, heads.key(b));
  tiles.keep(1, heads.value(b));
  typename Tiles::Sums dk = {}, dv = {};
  for (int q0 = b.queries_begin(); q0 < b.tokens; q0 += Tiles::kOther) {
    typename Tiles::Scores p, ds;
    tiles.dots(0, query, q0, p);
    tiles.dots(1, above, q0, ds);
    weigh<Tiles, false>(b, q0, heads.scale, of, p, ds);
    tiles.add_weighted(0, p, above, q0, dv);
    tiles.add_weighted(1, ds, query, q0, dk);
  }
  write_rows<Tiles>(b, heads.scale, dk, heads.rows(b, dqkv, 3, 1));
  write_rows<Tiles>(b, A(1), dv, heads.rows(b, dqkv, 3, 2));
}

}  // namespace

void attention_grad(const Tensor& qkv, const Ragged& layout, int64_t heads, bool causal,
                    const Tensor& y, const Tensor& lse, const Tensor& g, Tensor& dqkv) {
  Tensor delta = empty_like(lse);
  visit_tiles({qkv, g, dqkv}, layout, heads, causal,
              [&]<class Tiles, class T>(Type<Tiles>, const Heads<T>& h, int64_t blocks) {
                using A = acc_t<T>;
                const auto grid = [&](int sums) {
                  return Grid{.blocks = blocks,
                              .threads = Tiles::kThreads,
                              .shared_bytes = Tiles::shared_bytes(2, sums)};
                };
                const Statistics<A> of{lse.data<A>(), delta.data<A>()};
                launch("attention_grad", row_products<T>, grid_for(h.total * heads * kWarp), h,
                       g.data<T>(), y.data<T>(), delta.data<A>());
                launch("attention_grad", grad_queries<Tiles, T>, grid(1), h, g.data<T>(), of,
                       dqkv.data<T>());
                launch("attention_grad", grad_keys<Tiles, T>, grid(2), h, g.data<T>(), of,
                       dqkv.data<T>());
              });
}

}  // namespace diptych::cuda
