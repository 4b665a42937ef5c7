// nn/optim.cpp — what an optimizer keeps; how it moves is up to each.
#include "nn/optim.h"

#include <cmath>
#include <map>
#include <set>
#include <sstream>

#include "autograd/graph.h"
#include "autograd/operands.h"
#include "autograd/ops.h"
#include "tensor/finite.h"
#include "tensor/kernels.h"

namespace diptych::nn {
namespace {

// Σ x²: not finite if any element is not.
Tensor squares_of(const std::vector<Tensor>& tensors) {
  if (tensors.empty()) return zeros({}, DType::f64);
  Tensor squares = empty({}, DType::f64, tensors[0].device());
  kernel::sum_squares(tensors[0].device(), tensors, squares);
  return squares;
}

// A parameter that was never set is NaN.
void check_parameters(const char* who, const std::vector<Module::Entry>& parameters) {
  check(!parameters.empty(), who,
        ": the module has no parameters; they are made by parameter() and child()");
  for (const Module::Entry& entry : parameters)
    check(all_finite(entry.tensor), who, ": ", entry.name, ' ', entry.tensor.shape(),
          " has no finite values; call initialize() or load_state() first");
}

}  // namespace

Optimizer::Optimizer(const char* who, const Trained& trained, const OptimizerConfig& config,
                     std::vector<std::string> moments)
    : config_(config), moments_(std::move(moments)) {
  check_members(who, trained.module, trained.object, trained.bytes);
  const std::vector<Module::Entry> parameters = trained.module.named_parameters();
  check_parameters(who, parameters);
  for (const Module::Entry& entry : parameters) {
    if (!needs_grad(entry.tensor)) continue;
    const bool half = config.half_moments && entry.tensor.dtype() != DType::f64;
    Slot slot{entry.name, entry.tensor, {}, entry.bounds, entry.copy};
    for (size_t i = 0; i < moments_.size(); ++i)
      slot.moments.push_back(zero_moment(entry.tensor, half, entry.table));
    slots_.push_back(std::move(slot));
  }
  check(!slots_.empty(), who, ": all parameters are locked, there is nothing to train");
  vanished_ = zeros({}, DType::f64, slots_[0].parameter.device());
  fault_ = zeros_like(vanished_);
}

void Optimizer::set_rates(const std::function<double(const std::string&)>& rate) {
  for (Slot& slot : slots_) slot.rate = rate(slot.name);
}

void Optimizer::step(double lr, const Tensor& squares, double max_norm, double loss_scale) {
  std::vector<Slot*> slots;
  for (Slot& slot : slots_)
    if (grad(slot.parameter).defined()) slots.push_back(&slot);
  const Tensor guarded = squares + fault_;
  if (!slots.empty()) update({lr, max_norm, loss_scale, t_ + 1}, guarded, slots);
  fault_ = guarded * 0.0;  // NaN, if that is NaN or infinite
  ++t_;
}

void Optimizer::forget_step() {
  --t_;
  fault_.fill_(0);
}

int64_t Optimizer::half_moments() const {
  int64_t count = 0;
  for (const Slot& slot : slots_)
    if (slot.moments.back().scale.defined()) count += slot.moments.back().values.numel();
  return count;
}

std::string Optimizer::groups(bool with_names) const {
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
    if (!decayed) text << (with_names ? "\n" : ", ");
    text << "weight decay " << (decayed ? config_.weight_decay : 0) << ": " << tensors
         << " tensors, " << elements << " parameters" << (with_names ? ":" : "");
    for (const std::string& name : names) text << (with_names ? ' ' + name : "");
  }
  return text.str();
}

std::vector<NamedTensor> Optimizer::state() const {
  std::vector<NamedTensor> out;
  for (const Slot& slot : slots_) {
    for (size_t i = 0; i < moments_.size(); ++i) {
      const Moment& moment = slot.moments[i];
      out.push_back({moments_[i] + '.' + slot.name, moment.values});
      if (moment.scale.defined())
        out.push_back({moments_[i] + "_scale." + slot.name, moment.scale});
    }
  }
  return out;
}

void Optimizer::load_state(const std::vector<NamedTensor>& values, int64_t steps) {
  std::map<std::string, Tensor> given;
  for (const NamedTensor& value : values) given.emplace(value.name, value.tensor);
  const auto find = [&](const std::string& key) {
    const auto it = given.find(key);
    return it == given.end() ? Tensor() : it->second;
  };
  for (Slot& slot : slots_) {
    for (size_t i = 0; i < moments_.size(); ++i) {
      const std::string key = moments_[i] + '.' + slot.name;
      check(find(key).defined(), "optimizer: no ", key, " in the checkpoint");
      assign(key, {find(key), find(moments_[i] + "_scale." + slot.name)}, slot.moments[i]);
    }
  }
  t_ = steps;
  fault_.fill_(0);
}

Tensor grad_squares(const Module& module) {
  std::vector<Tensor> grads;
  for (const Tensor& p : module.parameters())
    if (needs_grad(p) && grad(p).defined()) grads.push_back(grad(p));
  for (const Tensor& g : grads)
    check(alike(g, grads[0]), "grad_squares: a gradient is ", g.dtype(), " on ", g.device(),
          ", another ", grads[0].dtype(), " on ", grads[0].device());
  return squares_of(grads);
}

double grad_norm(const Module& module) { return std::sqrt(grad_squares(module).item()); }

}  // namespace diptych::nn
