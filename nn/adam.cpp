// nn/adam.cpp — Adam (Kingma and Ba, 2015).
#include <cmath>

#include "autograd/ops.h"
#include "nn/optimizers.h"

namespace diptych::nn {
namespace {

/// Weight decay is part of the gradient, as torch.optim.Adam has it:
///   g ← g + decay p;  m ← β₁ m + (1-β₁) g;  v ← β₂ v + (1-β₂) g²
///   p ← p - lr m̂ / (√v̂ + eps),  m̂ = m / (1-β₁ᵗ),  v̂ = v / (1-β₂ᵗ)
class Adam : public RuleOptimizer {
 public:
  Adam(const Trained& module, const OptimizerConfig& config)
      : RuleOptimizer("Adam", module, config, {"m", "v"}) {}

 protected:
  Tensor next(const Tensor& p, const Tensor& gradient, std::vector<Tensor>& moments,
              const Numbers& n) const override {
    const double beta1 = config_.beta1, beta2 = config_.beta2;
    const auto t = static_cast<double>(n.t);
    const Tensor g = gradient + p * n.decay;
    Tensor &m = moments[0], &v = moments[1];
    m = m * beta1 + g * (1 - beta1);
    v = v * beta2 + square(g) * (1 - beta2);
    const Tensor spread = sqrt(v * (1 / (1 - std::pow(beta2, t)))) + config_.eps;
    return p - m * (n.lr / (1 - std::pow(beta1, t))) / spread;
  }
};

}  // namespace

std::unique_ptr<Optimizer> make_adam(const Trained& module, const OptimizerConfig& config) {
  return std::make_unique<Adam>(module, config);
}

}  // namespace diptych::nn
