// tensor/cpu/optim.cpp — AdamW in one pass over all parameters, gradients and moments.
#include <algorithm>
#include <cmath>

#include "tensor/adamw.h"
#include "tensor/parallel.h"

namespace diptych::cpu {
namespace {

template <class T>
void step_range(const AdamWUpdate<T>& update, const AdamWArrays<T>& a, int64_t begin, int64_t end) {
  const T* __restrict g = a.g;
  T* __restrict m = a.m;
  T* __restrict v = a.v;
  T* __restrict p = a.p;
  for (int64_t i = begin; i < end; ++i) update(g[i], m[i], v[i], p[i]);
}

/// Every thread takes its share of every parameter, not some parameters: the share that the same
/// thread computed the gradient of, as far as it can be had, and near its core.
template <class T>
void step_all(const AdamWStep& step, double norm, const std::vector<AdamWSlot>& slots) {
  constexpr int64_t kShares = 64, kVector = 64;
  const AdamWConstants<T> constants(step);
  const T scale = static_cast<T>(step.clip_scale(norm));
  const std::vector<AdamWArrays<T>> all(slots.begin(), slots.end());
  int64_t total = 0;
  for (const AdamWArrays<T>& a : all) total += a.n;
  const int64_t grain = std::max<int64_t>(1, kShares * 8192 / std::max<int64_t>(1, total));
  parallel_for(kShares, grain, [&](int64_t begin, int64_t end) {
    for (const AdamWArrays<T>& a : all) {
      const auto cut = [n = a.n](int64_t s) {
        return s == kShares ? n : n * s / kShares / kVector * kVector;
      };
      step_range(AdamWUpdate<T>(constants, scale, a), a, cut(begin), cut(end));
    }
  });
}

}  // namespace

void adamw_step(const AdamWStep& step, const Tensor& squares, const std::vector<AdamWSlot>& slots) {
  const double norm = std::sqrt(*squares.data<double>());
  if (slots.empty() || !std::isfinite(norm)) return;
  slots[0].p.dtype() == DType::f64 ? step_all<double>(step, norm, slots)
                                   : step_all<float>(step, norm, slots);
}

}  // namespace diptych::cpu
