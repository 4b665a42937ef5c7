// nn/lion.cpp — Lion: steps of one size (Chen et al., 2023, "Symbolic discovery of optimization
// algorithms", program 1).
#include <limits>

#include "autograd/ops.h"
#include "nn/optimizers.h"

namespace diptych::nn {
namespace {

// ±1, 0 of 0; what is smaller than the smallest normal f32 counts as a part of it.
Tensor sign(const Tensor& x) {
  constexpr double kSmallest = std::numeric_limits<float>::min();
  return x / maximum(abs(x), full({}, kSmallest, x.dtype(), x.device()));
}

///   p ← p - lr (sign(β₁ m + (1-β₁) g) + decay p);  m ← β₂ m + (1-β₂) g
class Lion : public RuleOptimizer {
 public:
  Lion(const Trained& module, const OptimizerConfig& config)
      : RuleOptimizer("Lion", module, config, {"m"}) {}

 protected:
  Tensor next(const Tensor& p, const Tensor& g, std::vector<Tensor>& moments,
              const Numbers& n) const override {
    const double beta1 = config_.beta1, beta2 = config_.beta2;
    Tensor& m = moments[0];
    const Tensor direction = sign(m * beta1 + g * (1 - beta1));
    m = m * beta2 + g * (1 - beta2);
    return p - (direction + p * n.decay) * n.lr;
  }
};

}  // namespace

std::unique_ptr<Optimizer> make_lion(const Trained& module, const OptimizerConfig& config) {
  return std::make_unique<Lion>(module, config);
}

}  // namespace diptych::nn
