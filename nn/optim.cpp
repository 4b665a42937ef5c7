// nn/optim.cpp — the optimizer's bookkeeping; the arithmetic is kernel::adamw_step.
#include "nn/optim.h"

#include <cmath>
#include <map>
#include <set>
#include <sstream>

#include "autograd/graph.h"
#include "autograd/operands.h"
#include "autograd/ops.h"
#include "tensor/kernels.h"

namespace diptych::nn {
namespace {

// What the kernel takes for granted.
void check_slot(const std::string& name, const Tensor& p, const Tensor& g, const Tensor& moment,
                const Tensor& first) {
  check(p.dtype() == DType::f32 || p.dtype() == DType::f64, "optimizer: ", name, " is ", p.dtype(),
        "; AdamW needs parameters in f32 or f64");
  check(alike(p, g) && alike(p, moment) && alike(p, first), "optimizer: ", name, " is ", p.dtype(),
        " on ", p.device(), ", its gradient ", g.dtype(), " on ", g.device(), ", its moments ",
        moment.dtype(), " on ", moment.device(), ", the first parameter ", first.dtype(), " on ",
        first.device(), "; move the model before the optimizer is made");
}

// Σ x²: not finite if any element is not.
Tensor squares_of(const std::vector<Tensor>& tensors) {
  if (tensors.empty()) return zeros({}, DType::f64);
  Tensor squares = empty({}, DType::f64, tensors[0].device());
  kernel::sum_squares(tensors[0].device(), tensors, squares);
  return squares;
}

bool all_finite(const std::vector<Tensor>& tensors) {
  return std::isfinite(squares_of(tensors).item());
}

// A parameter that was never set is NaN.
void check_parameters(const Module& module) {
  const std::vector<Module::Entry> parameters = module.named_parameters();
  check(!parameters.empty(),
        "AdamW: the module has no parameters; they are made by parameter() and child()");
  if (all_finite(module.parameters())) return;
  for (const Module::Entry& entry : parameters)
    check(all_finite({entry.tensor}), "AdamW: ", entry.name, ' ', entry.tensor.shape(),
          " has no finite values; call initialize() or load_state() first");
}

}  // namespace

AdamW::AdamW(const Module& module, const AdamWConfig& config, const void* object, size_t bytes)
    : config_(config) {
  check_members("AdamW", module, object, bytes);
  check_parameters(module);
  for (Module::Entry& entry : module.named_parameters()) {
    slots_.push_back({entry.name, entry.tensor, zeros_like(entry.tensor), zeros_like(entry.tensor),
                      entry.bounds});
  }
  fault_ = zeros({}, DType::f64, slots_[0].parameter.device());
}

void AdamW::step(double lr, const Tensor& squares, double max_norm) {
  std::vector<AdamWSlot> slots;
  for (const Slot& slot : slots_) {
    const Tensor& g = grad(slot.parameter);
    if (!g.defined()) continue;
    check_slot(slot.name, slot.parameter, g, slot.m, slots_[0].parameter);
    slots.push_back({g, slot.m, slot.v, slot.parameter, decays(slot.parameter), slot.bounds.low,
                     slot.bounds.high});
  }
  ++t_;
  if (slots.empty()) return;
  const AdamWStep step{
      lr, config_.beta1, config_.beta2, config_.eps, config_.weight_decay, max_norm, t_};
  const Tensor guarded = squares + fault_;
  fault_ = guarded * 0.0;  // NaN, if that is NaN or infinite
  kernel::adamw_step(slots[0].p.device(), step, guarded, slots);
  for (const AdamWSlot& slot : slots) slot.p.bump_version();
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
  fault_.fill_(0);
}

Tensor grad_squares(const Module& module) {
  std::vector<Tensor> grads;
  for (const Tensor& p : module.parameters())
    if (grad(p).defined()) grads.push_back(grad(p));
  for (const Tensor& g : grads)
    check(alike(g, grads[0]), "grad_squares: a gradient is ", g.dtype(), " on ", g.device(),
          ", another ", grads[0].dtype(), " on ", grads[0].device());
  return squares_of(grads);
}

double grad_norm(const Module& module) { return std::sqrt(grad_squares(module).item()); }

}  // namespace diptych::nn
