// tensor/cpu/attention_pool.cpp — attention with one query per sequence.
//
// For one head of one sequence, with s = 1 / √(D/H):
//   S_j = s q·k_j,  lse = ln Σ_j e^S_j,  p_j = e^(S_j - lse),  y = Σ_j p_j v_j
// and, given g = ∂L/∂y and δ = g·y,
//   dv_j = p_j g,  dS_j = p_j (g·v_j - δ),  dq = s Σ_j dS_j k_j,  dk_j = s dS_j q
//
// Every key and value is used once: there is nothing to tile, memory sets the pace.
#include <cmath>

#include "tensor/cpu/row_groups.h"
#include "tensor/cpu/rows.h"
#include "tensor/kernels.h"

namespace diptych::cpu {
namespace {

/// One head of one sequence. Rows of kv are `step` apart, values stand half a step behind keys.
template <class T>
struct PoolHead {
  using A = acc_t<T>;

  int64_t tokens, width, step;  // T, D / H, 2 D
  A scale;

  /// x[j] = factor · query · row j
  void dots(const T* query, const T* rows, A factor, A* x) const {
    for (int64_t j = 0; j < tokens; ++j) x[j] = factor * dot(query, rows + j * step);
  }

  /// to = Σ_j weight[j] · row j
  void weighted_sum(const A* weight, const T* rows, T* to) const {
    for_each_vector<A>(width, [&](int64_t d, int64_t n) {
      vec<A> total{};
      for (int64_t j = 0; j < tokens; ++j) total += weight[j] * load_wide(rows + j * step + d, n);
      store_narrow(to + d, total, n);
    });
  }

  /// row j = weight[j] · x
  void outer(const A* weight, const T* x, T* rows) const {
    for_each_vector<A>(width, [&](int64_t d, int64_t n) {
      const vec<A> v = load_wide(x + d, n);
      for (int64_t j = 0; j < tokens; ++j) store_narrow(rows + j * step + d, weight[j] * v, n);
    });
  }

  A dot(const T* a, const T* b) const {
    vec<A> total{};
    for_each_vector<A>(
        width, [&](int64_t d, int64_t n) { total += load_wide(a + d, n) * load_wide(b + d, n); });
    return sum_lanes<A>(total);
  }
};

template <class T>
void pool(const PoolHead<T>& head, const T* q, const T* k, T* y, acc_t<T>* lse) {
  using A = acc_t<T>;
  static thread_local Scratch scratch;
  A *scores = scratch.get<A>(2 * head.tokens), *p = scores + head.tokens;
  head.dots(q, k, head.scale, scores);
  const A most = max(head.tokens, scores);
  const A total = exp_shifted(scores, most, head.tokens, p);
  for (int64_t j = 0; j < head.tokens; ++j) p[j] /= total;
  head.weighted_sum(p, k + head.step / 2, y);
  *lse = most + std::log(total);
}

template <class T>
struct PoolGrad {
  const T *q, *k, *y, *g;
  T *dq, *dk;
  acc_t<T> lse;
};

template <class T>
void pool_grad(const PoolHead<T>& head, const PoolGrad<T>& x) {
  using A = acc_t<T>;
  static thread_local Scratch scratch;
  const int64_t n = head.tokens, values = head.step / 2;
  A *scores = scratch.get<A>(3 * n), *p = scores + n, *ds = p + n;
  head.dots(x.q, x.k, head.scale, scores);
  exp_shifted(scores, x.lse, n, p);
  head.dots(x.g, x.k + values, A(1), ds);
  const A delta = head.dot(x.g, x.y);
  for (int64_t j = 0; j < n; ++j) ds[j] = head.scale * p[j] * (ds[j] - delta);
  head.weighted_sum(ds, x.k, x.dq);
  head.outer(ds, x.q, x.dk);
  head.outer(p, x.g, x.dk + values);
}

/// Calls f(head, where its queries start, where its keys start, its number) for every head of every
/// sequence, in parallel.
template <class T, class F>
void for_each_pool(const Tensor& q, const Tensor& kv, const Ragged& layout, int64_t heads,
                   const F& f) {
  const int64_t B = q.dim(0), D = q.dim(1), width = D / heads, items = B * heads;
  const auto scale = acc_t<T>(1) / std::sqrt(static_cast<acc_t<T>>(width));
  const int64_t* first = layout.ends().data();
  parallel_for(items, row_grain(kv.numel() / std::max<int64_t>(1, items)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t s = i / heads, column = i % heads * width;
                   f(PoolHead<T>{first[s + 1] - first[s], width, 2 * D, scale}, s * D + column,
                     first[s] * 2 * D + column, i);
                 }
               });
}

}  // namespace

void attention_pool(const Tensor& q, const Tensor& kv, const Ragged& layout, int64_t heads,
                    Tensor& y, Tensor& lse) {
  visit_float(q.dtype(), [&]<class T>(Type<T>) {
    const T *pq = q.data<T>(), *pk = kv.data<T>();
    T* py = y.data<T>();
    auto* ps = lse.data<acc_t<T>>();
    for_each_pool<T>(q, kv, layout, heads,
                     [&](const PoolHead<T>& head, int64_t query, int64_t key, int64_t i) {
                       pool(head, pq + query, pk + key, py + query, ps + i);
                     });
  });
}

void attention_pool_grad(const Tensor& q, const Tensor& kv, const Ragged& layout, int64_t heads,
                         const Tensor& y, const Tensor& lse, const Tensor& g, Tensor& dq,
                         Tensor& dkv) {
  visit_float(q.dtype(), [&]<class T>(Type<T>) {
    const T *pq = q.data<T>(), *pk = kv.data<T>(), *py = y.data<T>(), *pg = g.data<T>();
    T *pdq = dq.data<T>(), *pdk = dkv.data<T>();
    const auto* ps = lse.data<acc_t<T>>();
    for_each_pool<T>(
        q, kv, layout, heads, [&](const PoolHead<T>& head, int64_t query, int64_t key, int64_t i) {
          pool_grad(head,
                    {pq + query, pk + key, py + query, pg + query, pdq + query, pdk + key, ps[i]});
        });
  });
}

}  // namespace diptych::cpu
