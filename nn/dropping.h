// nn/dropping.h — what a step of training leaves out by chance.
#pragma once

#include "autograd/ops.h"
#include "tensor/philox.h"

namespace diptych::nn {

/// Rates, and the numbers they are drawn by: functions of (seed, step, tower, layer, element), so
/// that a block that is recomputed leaves out the same.
struct Dropping {
  double rate = 0;     ///< of elements of what a block adds to its input
  double patches = 0;  ///< of a picture's patches, of which at least one stays
  Seed seed = {};      ///< of this tower in this step

  bool any() const { return rate > 0 || patches > 0; }
  /// For place `i` of the tower.
  Seed at(int64_t i) const { return {seed.seed, mix(seed.stream, static_cast<uint64_t>(i))}; }
};

/// x + branch, where the branch can add itself to a residual: f(x). Elements of the branch are left
/// out at `rate`.
template <class F>
Tensor residual(const Tensor& x, const F& f, double rate, Seed seed) {
  return rate > 0 ? x + dropout(f(Tensor()), rate, seed) : f(x);
}

}  // namespace diptych::nn
