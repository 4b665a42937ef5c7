// nn/optimizers.cpp — the registry, and one formula for every parameter.
#include "nn/optimizers.h"

#include <cmath>

#include "autograd/operands.h"
#include "autograd/ops.h"
#include "nn/registry.h"
#include "tensor/kernels.h"
#include "tensor/philox.h"

namespace diptych::nn {
namespace {

using Make = std::unique_ptr<Optimizer> (*)(const Trained&, const OptimizerConfig&);

std::unique_ptr<Optimizer> make_adamw(const Trained& module, const OptimizerConfig& config) {
  return std::make_unique<AdamW>(module, config);
}

constexpr std::pair<const char*, Make> kOptimizers[] = {
    {"adamw", make_adamw}, {"adam", make_adam}, {"sgd", make_sgd}, {"lion", make_lion}};

}  // namespace

const std::vector<std::string>& optimizer_names() {
  static const std::vector<std::string> names = names_in(kOptimizers);
  return names;
}

std::unique_ptr<Optimizer> make_optimizer(const std::string& name, const Trained& module,
                                          const OptimizerConfig& config) {
  const Make make = chosen_from(kOptimizers, "optimizer", name);
  check(!config.half_moments || name == "adamw",
        "optimizer: moments in f16 are kept by adamw, not "
        "by ",
        name);
  return make(module, config);
}

void RuleOptimizer::update(const Step& step, const Tensor& squares,
                           const std::vector<Slot*>& slots) {
  const double norm = std::sqrt(squares.item());
  if (!std::isfinite(norm)) return;
  const NoGrad no_grad;
  AdamWStep clipping{};
  clipping.max_norm = step.max_norm;
  clipping.loss_scale = step.loss_scale;
  for (Slot* slot : slots) update(step, clipping.gradient_scale(norm), *slot);
}

void RuleOptimizer::update(const Step& step, double gradient_scale, Slot& slot) const {
  const DType dtype = statistics_dtype(slot.parameter);
  std::vector<Tensor> moments;
  for (const Moment& moment : slot.moments) moments.push_back(moment.values);
  const Tensor value = next(
      slot.parameter.detach().to(dtype), grad(slot.parameter).to(dtype) * gradient_scale, moments,
      {step.lr * slot.rate, decays(slot.parameter) ? config_.weight_decay : 0, step.t});
  for (size_t i = 0; i < moments.size(); ++i) slot.moments[i].values.copy_(moments[i]);
  assign(clamp(value, slot.bounds.low, slot.bounds.high), step.t, slot);
}

// Random numbers as AdamW's: of (seed, parameter, step, element).
void RuleOptimizer::assign(const Tensor& value, int64_t t, Slot& slot) const {
  Tensor p = slot.parameter;
  if (size_of(p.dtype()) != 2 || !config_.stochastic) return p.copy_(value);
  const Seed seed{config_.seed, mix(stream_of(slot.name), static_cast<uint64_t>(t))};
  Tensor rounded = empty(p.shape(), p.dtype(), p.device());
  kernel::round_stochastic(p.device(), seed, value.contiguous(), rounded);
  p.copy_(rounded);
}

}  // namespace diptych::nn
