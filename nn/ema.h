// nn/ema.h — an average of the parameters over the steps of training.
#pragma once

#include "nn/module.h"

namespace diptych::nn {

/// Exponential moving average (Polyak and Juditsky, 1992; as used for images by Tan and Le, 2019):
///   ē ← d ē + (1 - d) p,  d = min(decay, (1 + t) / (10 + t)) after step t = 1, 2, …
/// so that the values before training are soon forgotten. In f32 (f64 for f64) whatever the
/// parameters are; buffers are the module's own. The module must outlive it.
class Ema {
 public:
  Ema(const Module&, double decay);
  void update(int64_t t);
  /// Names and values, as load_state of the module takes them.
  std::vector<NamedTensor> state() const;
  /// Throws Error as Module::load_state does.
  void load_state(const std::vector<NamedTensor>&);
  /// The module gets the average, in its own dtypes, until take_back().
  void lend();
  void take_back();

 private:
  struct Pair {
    Module::Entry entry;
    Tensor average;   ///< undefined for buffers
    Tensor own = {};  ///< the module's value, while the average is lent
  };
  const Module& module_;
  std::vector<Pair> pairs_;
  double decay_;
};

}  // namespace diptych::nn
