// cuda/attention_pool.cu — attention with one query per sequence.
//
// For one head of one sequence, with s = 1 / √(D/H):
//   S_j = s q·k_j,  lse = ln Σ_j e^S_j,  p_j = e^(S_j - lse),  y = Σ_j p_j v_j
// and, given g = ∂L/∂y and δ = g·y,
//   dv_j = p_j g,  dS_j = p_j (g·v_j - δ),  dq = s Σ_j dS_j k_j,  dk_j = s dS_j q
//
// Every key and value is used once: there is nothing to tile, memory sets the pace. So each head of
// each sequence has a warp, whose lanes hold columns lane, lane + 32, …: they read a row together
// and sum its product across the warp. A wide head has a warp for every 128 columns of its results,
// each of which computes all scores.
#include "cuda/launch.cuh"
#include "tensor/kernels.h"
#include "tensor/scalar_math.h"

namespace diptych::cuda {
namespace {

constexpr int kEach = 4;  ///< columns of the results that a lane computes

/// The packed sequences, as all warps are told.
template <class T>
struct PoolHeads {
  const T *q, *kv;
  const int64_t* ends;  ///< (B+1)
  int64_t B, D;
  int heads, chunks, width;
  acc_t<T> scale;
};

/// One head of one sequence. Rows of kv are `step` apart, values stand half a step behind keys.
struct PoolHead {
  int64_t item, query, key, tokens, step;  ///< item: s H + h; query, key: where its columns begin
  int width, column;                       ///< D / H; the lane's first column of the results
};

template <class T>
__device__ PoolHead pool_head(const PoolHeads<T>& all) {
  const int64_t number = thread_number() / kWarp, item = number / all.chunks;
  const int64_t sequence = item / all.heads, at = item % all.heads * all.width;
  if (sequence >= all.B) return {0, 0, 0, 0, 0, 0, 0};  // a warp too many, which does nothing
  const int64_t first = all.ends[sequence], end = all.ends[sequence + 1];
  const int chunk = static_cast<int>(number % all.chunks);
  return {item,      sequence * all.D + at,         first * 2 * all.D + at, end - first, 2 * all.D,
          all.width, chunk * kEach * kWarp + lane()};
}

/// Calls f(n, d) for the lane's columns d of the results.
template <class F>
__device__ void for_each_column(const PoolHead& head, const F& f) {
  DIPTYCH_UNROLL
  for (int n = 0; n < kEach; ++n)
    if (head.column + n * kWarp < head.width) f(n, head.column + n * kWarp);
}

/// a·b over the whole width, in all lanes.
template <class T>
__device__ acc_t<T> dot(const PoolHead& head, const T* a, const T* b) {
  acc_t<T> sum = 0;
  for (int d = lane(); d < head.width; d += kWarp) sum += widen(a[d]) * widen(b[d]);
  return warp_fold(sum, Sum{});
}

/// Online softmax over 32 keys at a time: all their products first, which do not depend on each
/// other, then lane j has the weight of key j.
template <class T>
__global__ void pool(PoolHeads<T> all, T* y, acc_t<T>* lse) {
  using A = acc_t<T>;
  constexpr A kNothing = -std::numeric_limits<A>::infinity();
  const PoolHead head = pool_head(all);
  A sums[kEach] = {}, total = 0, most = kNothing;
  for (int64_t j0 = 0; j0 < head.tokens; j0 += kWarp) {
    const int keys = head.tokens - j0 < kWarp ? static_cast<int>(head.tokens - j0) : kWarp;
    const T *k = all.kv + head.key + j0 * head.step, *v = k + head.step / 2;
    A score = kNothing;
    for (int j = 0; j < keys; ++j) {
      const A product = dot(head, all.q + head.query, k + j * head.step);
      if (j == lane()) score = all.scale * product;
    }
    const A before = most;
    most = Max{}(before, warp_fold(score, Max{}));
    const A shift = most == kNothing ? A(0) : most, shrink = scalar::exp(before - shift);
    const A weight = scalar::exp(score - shift);
    total = total * shrink + warp_fold(weight, Sum{});
    for (A& sum : sums) sum *= shrink;
    for (int j = 0; j < keys; ++j) {
      const A w = __shfl_sync(kAllLanes, weight, j);
      for_each_column(head, [&](int n, int d) { sums[n] += w * widen(v[j * head.step + d]); });
    }
  }
  for_each_column(head, [&](int n, int d) {
    y[head.query + d] = narrow<T>(head.tokens == 0 ? A(0) : sums[n] / total);
  });
  if (head.column == 0 && head.width > 0) lse[head.item] = most + log(total);
}

template <class T>
struct PoolGrad {
  const T *y, *g;
  const acc_t<T>* lse;
  T *dq, *dkv;
};

template <class T>
__global__ void pool_grad(PoolHeads<T> all, PoolGrad<T> x) {
  using A = acc_t<T>;
  const PoolHead head = pool_head(all);
  const T *q = all.q + head.query, *g = x.g + head.query;
  const A delta = dot(head, g, x.y + head.query);
  A sums[kEach] = {};
  for (int64_t j = 0; j < head.tokens; ++j) {
    const int64_t key = head.key + j * head.step, value = key + head.step / 2;
    const A p = scalar::exp(all.scale * dot(head, q, all.kv + key) - x.lse[head.item]);
    const A ds = all.scale * p * (dot(head, g, all.kv + value) - delta);
    for_each_column(head, [&](int n, int d) {
      sums[n] += ds * widen(all.kv[key + d]);
      x.dkv[key + d] = narrow<T>(ds * widen(q[d]));
      x.dkv[value + d] = narrow<T>(p * widen(g[d]));
    });
  }
  for_each_column(head, [&](int n, int d) { x.dq[head.query + d] = narrow<T>(sums[n]); });
}

template <class T>
PoolHeads<T> pool_heads(const Tensor& q, const Tensor& kv, const Ragged& layout, int64_t heads) {
  const int64_t B = q.dim(0), D = q.dim(1), width = D / heads;
  return {q.data<T>(),
          kv.data<T>(),
          layout.offsets().data<int64_t>(),
          B,
          D,
          static_cast<int>(heads),
          static_cast<int>(ceil_div(width, kEach * kWarp)),
          static_cast<int>(width),
          acc_t<T>(1) / std::sqrt(static_cast<acc_t<T>>(width))};
}

/// A warp for each head of each sequence and each chunk of its columns.
template <class T>
Grid pool_grid(const PoolHeads<T>& all) {
  return grid_for(all.B * all.heads * all.chunks * kWarp);
}

}  // namespace

void attention_pool(const Tensor& q, const Tensor& kv, const Ragged& layout, int64_t heads,
                    Tensor& y, Tensor& lse) {
  visit_float(q.dtype(), [&]<class T>(Type<T>) {
    const PoolHeads<T> all = pool_heads<T>(q, kv, layout, heads);
    launch("attention_pool", pool<T>, pool_grid(all), all, y.data<T>(), lse.data<acc_t<T>>());
  });
}

void attention_pool_grad(const Tensor& q, const Tensor& kv, const Ragged& layout, int64_t heads,
                         const Tensor& y, const Tensor& lse, const Tensor& g, Tensor& dq,
                         Tensor& dkv) {
  visit_float(q.dtype(), [&]<class T>(Type<T>) {
    const PoolHeads<T> all = pool_heads<T>(q, kv, layout, heads);
    const PoolGrad<T> grad{y.data<T>(), g.data<T>(), lse.data<acc_t<T>>(), dq.data<T>(),
                           dkv.data<T>()};
    launch("attention_pool_grad", pool_grad<T>, pool_grid(all), all, grad);
  });
}

}  // namespace diptych::cuda
