// cuda/attention.cu — multi-head attention over packed sequences, forward: one tile of queries per
// block, online softmax (Milakov and Gimelshein, 2018; Dao et al., 2022) over the tiles of keys.
#include "cuda/attention_tiles.cuh"

namespace diptych::cuda {
namespace {

template <class Tiles, class T>
__global__ void attend(Heads<T> heads, T* y, acc_t<T>* lse) {
  using A = acc_t<T>;
  constexpr int kQueries = std::extent_v<typename Tiles::Sums>;
  DIPTYCH_DYNAMIC_SHARED(unsigned char, shared);
  const Block b = heads.template block<Tiles>();
  Tiles tiles(shared, b, 1);
  tiles.keep(0, heads.query(b));
  Running<A> run[kQueries];
  typename Tiles::Sums sums = {};
  const int end = b.keys_end(Tiles::kRows);
  for (int k0 = 0; k0 < end; k0 += Tiles::kOther) {
    typename Tiles::Scores s;
    tiles.dots(0, heads.key(b), k0, s);
    mask_scores<Tiles>(b, k0, heads.scale, s);
    soften<Tiles::kLanes>(s, run, sums);
    tiles.add_weighted(0, s, heads.value(b), k0, sums);
  }
  DIPTYCH_UNROLL
  for (int m = 0; m < kQueries; ++m) {
    const A total = lanes_fold<Tiles::kLanes>(run[m].total, Sum{});
    const A factor = A(1) / total;
    for (A& x : sums[m]) x *= factor;
    const int i = b.start + Tiles::row(m);
    if (b.column + Tiles::column(0) == 0 && i < b.tokens)
      lse[b.head * heads.total + b.first + i] = run[m].most + log(total);
  }
  write_rows<Tiles>(b, A(1), sums, heads.rows(b, y, 1, 0));
}

}  // namespace

void attention(const Tensor& qkv, const Ragged& layout, int64_t heads, bool causal, Tensor& y,
               Tensor& lse) {
  visit_tiles({qkv, y}, layout, heads, causal,
              [&]<class Tiles, class T>(Type<Tiles>, const Heads<T>& h, int64_t blocks) {
                launch("attention", attend<Tiles, T>,
                       {.blocks = blocks,
                        .threads = Tiles::kThreads,
                        .shared_bytes = Tiles::shared_bytes(1, 1)},
                       h, y.data<T>(), lse.data<acc_t<T>>());
              });
}

}  // namespace diptych::cuda
