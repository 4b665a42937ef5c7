// nn/dropping.h — what a step of training leaves out by chance.
#pragma once

#include "autograd/ops.h"
#include "tensor/philox.h"

namespace diptych::nn {

/// What of a batch lies before the part of it that a tower gets.
struct Place {
  int64_t sequences = 0;  ///< pictures or captions
  int64_t rows = 0;       ///< tokens of those captions; a tower of pictures counts its own
};

/// Of the elements of one branch: row r of it is row first + r of the whole batch's.
struct Drop {
  double rate = 0;
  Seed seed = {};
  int64_t first = 0;
};

/// Rates, and the numbers they are drawn by: functions of (seed, step, tower, layer, element of the
/// whole batch), so that a block that is recomputed leaves out the same, and so does a batch that
/// comes in parts.
struct Dropping {
  double rate = 0;     ///< of elements of what a block adds to its input
  double patches = 0;  ///< of a picture's patches, of which at least one stays
  Seed seed = {};      ///< of this tower in this step
  Place before = {};   ///< what the tower gets

  bool any() const { return rate > 0 || patches > 0; }
  /// For place `i` of the tower.
  Seed at(int64_t i) const { return {seed.seed, mix(seed.stream, static_cast<uint64_t>(i))}; }
  /// For place `i`, where there is a row for each token, or one for each sequence.
  Drop of_rows(int64_t i) const { return {rate, at(i), before.rows}; }
  Drop of_sequences(int64_t i) const { return {rate, at(i), before.sequences}; }
  /// The same of a part that begins there.
  Dropping behind(const Place& place) const { return {rate, patches, seed, place}; }
};

/// Elements of x (…, D), one row behind the other, left out.
inline Tensor dropped(const Tensor& x, const Drop& d) {
  return dropout(x, d.rate, d.seed, d.first * x.dim(-1));
}

/// x + branch, where the branch can add itself to a residual: f(x). Elements of the branch are left
/// out.
template <class F>
Tensor residual(const Tensor& x, const F& f, const Drop& d) {
  return d.rate > 0 ? x + dropped(f(Tensor()), d) : f(x);
}

}  // namespace diptych::nn
