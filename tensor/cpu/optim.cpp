// tensor/cpu/optim.cpp — AdamW in one pass over all parameters, gradients and moments.
#include <algorithm>
#include <cmath>

#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace diptych::cpu {
namespace {

/// The constants of a step, each rounded once:
/// p ← p - decay p - rate m / (√(v unbias) + eps)
template <class T>
struct AdamWConstants {
  explicit AdamWConstants(const AdamWStep& s)
      : grad_scale(static_cast<T>(s.grad_scale)),
        beta1(static_cast<T>(s.beta1)),
        rest1(static_cast<T>(1 - s.beta1)),
        beta2(static_cast<T>(s.beta2)),
        rest2(static_cast<T>(1 - s.beta2)),
        rate(static_cast<T>(s.lr / (1 - std::pow(s.beta1, static_cast<double>(s.t))))),
        unbias(static_cast<T>(1 / (1 - std::pow(s.beta2, static_cast<double>(s.t))))),
        decay(static_cast<T>(s.lr * s.weight_decay)),
        eps(static_cast<T>(s.eps)) {}

  T grad_scale, beta1, rest1, beta2, rest2, rate, unbias, decay, eps;
};

template <class T>
void step_range(const AdamWConstants<T>& k, T decay, const T* __restrict g, int64_t n,
                T* __restrict m, T* __restrict v, T* __restrict p) {
  for (int64_t i = 0; i < n; ++i) {
    const T grad = k.grad_scale * g[i];
    m[i] = k.beta1 * m[i] + k.rest1 * grad;
    v[i] = k.beta2 * v[i] + k.rest2 * grad * grad;
    p[i] -= decay * p[i] + k.rate * m[i] / (std::sqrt(v[i] * k.unbias) + k.eps);
  }
}

/// A slot as plain memory.
template <class T>
struct Arrays {
  explicit Arrays(const AdamWSlot& s)
      : g(s.g.data<T>()),
        m(s.m.data<T>()),
        v(s.v.data<T>()),
        p(s.p.data<T>()),
        n(s.p.numel()),
        decays(s.decays) {}
  const T* g;
  T *m, *v, *p;
  int64_t n;
  bool decays;
};

/// Every thread takes its share of every parameter, not some parameters: the share that the same
/// thread computed the gradient of, as far as it can be had, and near its core.
template <class T>
void step_all(const AdamWStep& step, const std::vector<AdamWSlot>& slots) {
  constexpr int64_t kShares = 64, kVector = 64;
  const AdamWConstants<T> constants(step);
  const std::vector<Arrays<T>> all(slots.begin(), slots.end());
  int64_t total = 0;
  for (const Arrays<T>& a : all) total += a.n;
  const int64_t grain = std::max<int64_t>(1, kShares * 8192 / std::max<int64_t>(1, total));
  parallel_for(kShares, grain, [&](int64_t begin, int64_t end) {
    for (const Arrays<T>& a : all) {
      const auto cut = [n = a.n](int64_t s) {
        return s == kShares ? n : n * s / kShares / kVector * kVector;
      };
      const int64_t i = cut(begin);
      step_range(constants, a.decays ? constants.decay : T(0), a.g + i, cut(end) - i, a.m + i,
                 a.v + i, a.p + i);
    }
  });
}

}  // namespace

void adamw_step(const AdamWStep& step, const std::vector<AdamWSlot>& slots) {
  if (slots.empty()) return;
  slots[0].p.dtype() == DType::f64 ? step_all<double>(step, slots) : step_all<float>(step, slots);
}

}  // namespace diptych::cpu
