// nn/optimizers.h — optimizers by name, and the interface to add one.
#pragma once

#include "nn/adamw.h"

namespace diptych::nn {

/// "adamw", "adam", "sgd", "lion".
const std::vector<std::string>& optimizer_names();
/// Throws Error, with all names, if there is none of that name, or if it does not keep the
/// moments that the configuration asks for.
std::unique_ptr<Optimizer> make_optimizer(const std::string& name, const Trained&,
                                          const OptimizerConfig&);

/// An optimizer written as one formula for one parameter, with operators. Moments are in f32 (f64
/// for f64). On a device every step waits for the gradients' norm.
class RuleOptimizer : public Optimizer {
 protected:
  using Optimizer::Optimizer;

  /// What the formula is told beside parameter, gradient and moments.
  struct Numbers {
    double lr;     ///< the parameter's own
    double decay;  ///< weight decay; 0 for gains and biases
    int64_t t;     ///< 1, 2, …
  };
  /// The parameter p after a step with gradient g, which is clipped; `moments`, zero at first,
  /// become those after it. All of one shape and one dtype, f32 or f64.
  virtual Tensor next(const Tensor& p, const Tensor& g, std::vector<Tensor>& moments,
                      const Numbers&) const = 0;

  void update(const Step&, const Tensor& squares, const std::vector<Slot*>&) final;

 private:
  void update(const Step&, double gradient_scale, Slot&) const;
  void assign(const Tensor& value, int64_t t, Slot&) const;
};

// One file each. The registry (nn/optimizers.cpp) lists them.
std::unique_ptr<Optimizer> make_adam(const Trained&, const OptimizerConfig&);
std::unique_ptr<Optimizer> make_sgd(const Trained&, const OptimizerConfig&);
std::unique_ptr<Optimizer> make_lion(const Trained&, const OptimizerConfig&);

}  // namespace diptych::nn
