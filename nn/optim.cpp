// nn/optim.cpp — the optimizer's bookkeeping; the arithmetic is kernel::adamw_step.
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

// What the kernel takes for granted: all on one device, all f64 or none.
void check_slot(const std::string& name, const AdamWSlot& s, const Tensor& first) {
  const auto fits = [&](const Tensor& t) {
    return t.device() == first.device() &&
           (t.dtype() == DType::f64) == (first.dtype() == DType::f64);
  };
  check(fits(s.p) && fits(s.g) && fits(s.m), "optimizer: ", name, " is ", s.p.dtype(), " on ",
        s.p.device(), ", its gradient ", s.g.dtype(), " on ", s.g.device(), ", its moments ",
        s.m.dtype(), " on ", s.m.device(), ", the first parameter ", first.dtype(), " on ",
        first.device(), "; move the model before the optimizer is made");
  check(s.g.dtype() == statistics_dtype(s.p), "optimizer: the gradient of ", name, " is ",
        s.g.dtype(), "; it must be ", statistics_dtype(s.p));
}

// Σ x²: not finite if any element is not.
Tensor squares_of(const std::vector<Tensor>& tensors) {
  if (tensors.empty()) return zeros({}, DType::f64);
  Tensor squares = empty({}, DType::f64, tensors[0].device());
  kernel::sum_squares(tensors[0].device(), tensors, squares);
  return squares;
}

// A parameter that was never set is NaN.
void check_parameters(const Module& module) {
  const std::vector<Module::Entry> parameters = module.named_parameters();
  check(!parameters.empty(),
        "AdamW: the module has no parameters; they are made by parameter() and child()");
  for (const Module::Entry& entry : parameters)
    check(all_finite(entry.tensor), "AdamW: ", entry.name, ' ', entry.tensor.shape(),
          " has no finite values; call initialize() or load_state() first");
}

}  // namespace

AdamW::AdamW(const Module& module, const AdamWConfig& config, const void* object, size_t bytes)
    : config_(config) {
  check_members("AdamW", module, object, bytes);
  check_parameters(module);
  for (Module::Entry& entry : module.named_parameters()) {
    const bool half = config.half_moments && entry.tensor.dtype() != DType::f64;
    const auto moment = [&] { return zero_moment(entry.tensor, half, entry.table); };
    slots_.push_back({entry.name, entry.tensor, moment(), moment(), entry.bounds, entry.copy});
  }
  vanished_ = zeros({}, DType::f64, slots_[0].parameter.device());
  fault_ = zeros_like(vanished_);
}

// A copy that is out of date is nobody's; it is made anew when somebody asks for it. So is one of a
// parameter in f64.
AdamWSlot AdamW::arrays(const Slot& slot) const {
  const NarrowCopy& copy = *slot.copy;
  const bool fresh = slot.parameter.dtype() == DType::f32 && copy.tensor.defined() &&
                     copy.version == slot.parameter.version();
  return {grad(slot.parameter),   slot.m.values,
          slot.v.values,          slot.parameter,
          decays(slot.parameter), slot.bounds.low,
          slot.bounds.high,       slot.m.scale,
          slot.v.scale,           fresh ? copy.tensor : Tensor(),
          stream_of(slot.name)};
}

void AdamW::step(double lr, const Tensor& squares, double max_norm, double loss_scale) {
  std::vector<AdamWSlot> slots;
  std::vector<NarrowCopy*> copies;
  for (const Slot& slot : slots_) {
    if (!grad(slot.parameter).defined()) continue;
    slots.push_back(arrays(slot));
    copies.push_back(slot.copy.get());
    check_slot(slot.name, slots.back(), slots_[0].parameter);
  }
  ++t_;
  if (slots.empty()) return;
  const AdamWStep step{
      lr, config_.beta1, config_.beta2, config_.eps,       config_.weight_decay, max_norm,
      t_, loss_scale,    config_.seed,  config_.stochastic};
  const Tensor guarded = squares + fault_;
  fault_ = guarded * 0.0;  // NaN, if that is NaN or infinite
  kernel::adamw_step(slots[0].p.device(), step, guarded, slots, vanished_);
  for (size_t i = 0; i < slots.size(); ++i) {
    slots[i].p.bump_version();
    if (!slots[i].copy.defined()) continue;
    slots[i].copy.bump_version();
    copies[i]->version = slots[i].p.version();
  }
}

void AdamW::forget_step() {
  --t_;
  fault_.fill_(0);
}

int64_t AdamW::half_moments() const {
  int64_t count = 0;
  for (const Slot& slot : slots_)
    if (slot.v.scale.defined()) count += slot.v.values.numel();
  return count;
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
    for (const auto& [kind, moment] : {std::pair{"m", &slot.m}, std::pair{"v", &slot.v}}) {
      out.push_back({kind + ('.' + slot.name), moment->values});
      if (moment->scale.defined()) out.push_back({kind + ("_scale." + slot.name), moment->scale});
    }
  }
  return out;
}

void AdamW::load_state(const std::vector<NamedTensor>& values, int64_t steps) {
  std::map<std::string, Tensor> given;
  for (const NamedTensor& value : values) given.emplace(value.name, value.tensor);
  const auto read = [&](const char* kind, const std::string& name, Moment& moment) {
    const auto it = given.find(kind + ('.' + name)), scale = given.find(kind + ("_scale." + name));
    check(it != given.end(), "optimizer: no ", kind, '.', name, " in the checkpoint");
    assign(kind + ('.' + name), {it->second, scale == given.end() ? Tensor() : scale->second},
           moment);
  };
  for (Slot& slot : slots_) {
    read("m", slot.name, slot.m);
    read("v", slot.name, slot.v);
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
