// tensor/adamw.h — one AdamW step of one element, on host and device alike.
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

  /// g is clipped already; weight_decay: `decay` or 0
  DIPTYCH_HD void update(T g, T weight_decay, T& m, T& v, T& p) const {
    m = beta1 * m + rest1 * g;
    v = beta2 * v + rest2 * g * g;
    p -= weight_decay * p + rate * m / (std::sqrt(v * unbias) + eps);
  }

  T beta1, rest1, beta2, rest2, rate, unbias, decay, eps;
};

}  // namespace diptych
