// nn/optim.cpp — the optimizer's bookkeeping; the arithmetic is kernel::adamw_step.
#include "nn/optim.h"

#include <cmath>
#include <map>
#include <set>

#include "autograd/graph.h"
#include "tensor/kernels.h"

namespace diptych::nn {
AdamW::AdamW(const Module& module, const AdamWConfig& config) : config_(config) {
  for (Module::Entry& entry : module.named_parameters()) {
    slots_.push_back(
        {entry.name, entry.tensor, zeros_like(entry.tensor), zeros_like(entry.tensor)});
  }
}

void AdamW::step(double lr, double grad_scale) {
  ++t_;
  for (Slot& slot : slots_) {
    const Tensor& g = grad(slot.parameter);
    if (!g.defined()) continue;
    const double decay = decays(slot.parameter) ? config_.weight_decay : 0;
    const AdamWStep step{lr, config_.beta1, config_.beta2, config_.eps, decay, grad_scale, t_};
    kernel::adamw_step(g.device(), step, g, slot.m, slot.v, slot.parameter);
    slot.parameter.bump_version();
  }
}

std::string AdamW::groups() const {
  std::ostringstream text;
  for (const bool decayed : {true, false}) {
    int64_t tensors = 0, elements = 0;
    std::set<std::string> names;
    for (const Slot& slot : slots_) {
      if (decays(slot.parameter) != decayed) continue;
      ++tensors;
      elements += slot.parameter.numel();
      names.insert(of_any_block(slot.name));
    }
    text << (decayed ? "" : "\n") << "weight decay " << (decayed ? config_.weight_decay : 0) << ": "
         << tensors << " tensors, " << elements << " parameters:";
    for (const std::string& name : names) text << ' ' << name;
  }
  return text.str();
}

std::vector<NamedTensor> AdamW::state() const {
  std::vector<NamedTensor> out;
  for (const Slot& slot : slots_) {
    out.push_back({"m." + slot.name, slot.m});
    out.push_back({"v." + slot.name, slot.v});
  }
  return out;
}

void AdamW::load_state(const std::vector<NamedTensor>& values, int64_t steps) {
  std::map<std::string, Tensor> given;
  for (const NamedTensor& value : values) given.emplace(value.name, value.tensor);
  for (auto& [name, moment] : state()) {
    const auto it = given.find(name);
    check(it != given.end(), "optimizer: no ", name, " in the checkpoint");
    moment.copy_(it->second);
  }
  t_ = steps;
}

double grad_norm(const Module& module) {
  double total = 0;
  for (const Tensor& p : module.parameters()) {
    if (!grad(p).defined()) continue;
    Tensor squares = empty({}, DType::f64, p.device());
    kernel::sum_squares(p.device(), grad(p), squares);
    total += squares.item();
  }
  return std::sqrt(total);
}

}  // namespace diptych::nn
