// tensor/adamw.h — an AdamW step of one element, on host and device alike.
#pragma once

#include <cmath>

#include "tensor/kernels.h"

namespace diptych {

/// The constants of a step, each rounded once:
/// p ← p - decay p - rate m / (√(v unbias) + eps)
template <class T>
struct AdamWConstants {
  explicit AdamWConstants(const AdamWStep& s)
      : beta1(static_cast<T>(s.beta1)),
        rest1(static_cast<T>(1 - s.beta1)),
        beta2(static_cast<T>(s.beta2)),
        rest2(static_cast<T>(1 - s.beta2)),
        rate(static_cast<T>(s.lr / (1 - std::pow(s.beta1, static_cast<double>(s.t))))),
        unbias(static_cast<T>(1 / (1 - std::pow(s.beta2, static_cast<double>(s.t))))),
        decay(static_cast<T>(s.lr * s.weight_decay)),
        eps(static_cast<T>(s.eps)) {}

  T beta1, rest1, beta2, rest2, rate, unbias, decay, eps;
};

/// A slot as plain memory.
template <class T>
struct AdamWArrays {
  AdamWArrays() = default;
  explicit AdamWArrays(const AdamWSlot& s)
      : g(s.g.data<T>()),
        m(s.m.data<T>()),
        v(s.v.data<T>()),
        p(s.p.data<T>()),
        n(s.p.numel()),
        low(static_cast<T>(s.low)),
        high(static_cast<T>(s.high)),
        rate(static_cast<T>(s.rate)),
        decays(s.decays) {}

  const T* g;
  T *m, *v, *p;
  int64_t n;
  T low, high, rate;
  bool decays;
};

/// What depends on the slot as well: how its gradients are scaled, its rate, its weight decay, its
/// bounds.
template <class T>
struct AdamWUpdate {
  template <class Slot>  // AdamWArrays<T>, AdamWSlot
  DIPTYCH_HD AdamWUpdate(const AdamWConstants<T>& constants, T scale_, const Slot& slot)
      : k(constants),
        scale(scale_),
        decay(slot.decays ? k.decay * static_cast<T>(slot.rate) : T(0)),
        rate(k.rate * static_cast<T>(slot.rate)),
        low(static_cast<T>(slot.low)),
        high(static_cast<T>(slot.high)) {}

  DIPTYCH_HD void operator()(T g, T& m, T& v, T& p) const {
    moments(g, m, v);
    parameter(m, v, p);
  }

  DIPTYCH_HD void moments(T g, T& m, T& v) const {
    const T grad = scale * g;
    m = k.beta1 * m + k.rest1 * grad;
    v = k.beta2 * v + k.rest2 * grad * grad;
  }

  DIPTYCH_HD void parameter(T m, T v, T& p) const {
    const T next = p - (decay * p + rate * m / (std::sqrt(v * k.unbias) + k.eps));
    const T not_below = next < low ? low : next;  // two steps: of these compilers make min and max
    p = high < not_below ? high : not_below;
  }

  const AdamWConstants<T> k;
  const T scale, decay, rate, low, high;
};

/// Whether p, m and v are what arithmetic is done in; else they are 16 bits, or some of them.
inline bool is_plain(const AdamWSlot& s) {
  return s.p.dtype() == s.g.dtype() && !s.m_scale.defined();
}

/// The scale of f16 moments of which the largest is that.
DIPTYCH_HD inline float moment_scale(float most) { return 1e-8f + most / 65504.0f; }

}  // namespace diptych
