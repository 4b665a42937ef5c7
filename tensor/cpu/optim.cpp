// tensor/cpu/optim.cpp — AdamW in one pass over all parameters, gradients and moments.
#include "tensor/cpu/optim.h"

#include <algorithm>
#include <cmath>

#include "tensor/cpu/convert.h"
#include "tensor/parallel.h"
#include "tensor/rounding.h"

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

void copy_range(const float* p, const Tensor& copy, int64_t begin, int64_t end) {
  visit_float(copy.dtype(),
              [&]<class T>(Type<T>) { convert(p + begin, end - begin, copy.data<T>() + begin); });
}

/// A copy in 16 bits, which f64 has none of, is written while the parameter is still in the cache.
template <class T>
void step_and_copy(const AdamWUpdate<T>& update, const AdamWArrays<T>& a,
                   [[maybe_unused]] const Tensor& copy, int64_t begin, int64_t end) {
  if constexpr (std::is_same_v<T, float>) {
    constexpr int64_t kBlock = 4096;
    for (; copy.defined() && begin < end; begin += kBlock) {
      const int64_t last = std::min(end, begin + kBlock);
      step_range(update, a, begin, last);
      copy_range(a.p, copy, begin, last);
    }
  }
  step_range(update, a, begin, end);
}

/// Every thread takes its share of every parameter, not some parameters: the share that the same
/// thread computed the gradient of, as far as it can be had, and near its core.
template <class T>
void step_plain(const AdamWStep& step, double scale, const std::vector<AdamWSlot>& slots) {
  constexpr int64_t kShares = 64, kVector = 64;
  const AdamWConstants<T> constants(step);
  const std::vector<AdamWArrays<T>> all(slots.begin(), slots.end());
  int64_t total = 0;
  for (const AdamWArrays<T>& a : all) total += a.n;
  const int64_t grain = std::max<int64_t>(1, kShares * 8192 / std::max<int64_t>(1, total));
  parallel_for(kShares, grain, [&](int64_t begin, int64_t end) {
    for (size_t i = 0; i < all.size(); ++i) {
      const auto cut = [n = all[i].n](int64_t s) {
        return s == kShares ? n : n * s / kShares / kVector * kVector;
      };
      const AdamWUpdate<T> update(constants, static_cast<T>(scale), all[i]);
      step_and_copy(update, all[i], slots[i].copy, cut(begin), cut(end));
    }
  });
}

}  // namespace

void adamw_step(const AdamWStep& step, const Tensor& squares, const std::vector<AdamWSlot>& slots,
                Tensor& vanished) {
  if (vanished.defined()) *vanished.data<double>() = 0;
  const double norm = std::sqrt(*squares.data<double>());
  if (slots.empty() || !std::isfinite(norm)) return;
  const double scale = step.gradient_scale(norm);
  if (slots[0].p.dtype() == DType::f64) return step_plain<double>(step, scale, slots);
  std::vector<AdamWSlot> plain, others;
  for (const AdamWSlot& slot : slots) (is_plain(slot) ? plain : others).push_back(slot);
  step_plain<float>(step, scale, plain);
  if (others.empty()) return;
  const int64_t count = step_narrow(step, static_cast<float>(scale), others);
  if (vanished.defined()) *vanished.data<double>() = static_cast<double>(count);
}

void round_stochastic(Seed seed, const Tensor& x, Tensor& y) {
  visit_float(y.dtype(), [&]<class T>(Type<T>) {
    if constexpr (sizeof(T) == 2)
      parallel_for(x.numel(), 16384, [&](int64_t begin, int64_t end) {
        diptych::round_stochastic(seed.seed, seed.stream, begin, x.data<float>() + begin,
                                  end - begin, y.data<T>() + begin);
      });
  });
}

}  // namespace diptych::cpu
