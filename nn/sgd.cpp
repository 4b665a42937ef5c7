// nn/sgd.cpp — stochastic gradient descent with momentum.
#include "autograd/ops.h"
#include "nn/optimizers.h"

namespace diptych::nn {
namespace {

/// As torch.optim.SGD without dampening (Sutskever et al., 2013, with the rate outside):
///   u ← momentum u + g + decay p;  p ← p - lr u
class Sgd : public RuleOptimizer {
 public:
  Sgd(const Trained& module, const OptimizerConfig& config)
      : RuleOptimizer("SGD", module, config, {"momentum"}) {}

 protected:
  Tensor next(const Tensor& p, const Tensor& g, std::vector<Tensor>& moments,
              const Numbers& n) const override {
    Tensor& u = moments[0];
    u = u * config_.momentum + g + p * n.decay;
    return p - u * n.lr;
  }
};

}  // namespace

std::unique_ptr<Optimizer> make_sgd(const Trained& module, const OptimizerConfig& config) {
  return std::make_unique<Sgd>(module, config);
}

}  // namespace diptych::nn
