// nn/adamw.cpp — slots for kernel::adamw_step.
#include "nn/adamw.h"

#include "autograd/graph.h"
#include "autograd/operands.h"
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

void write_versions(const AdamWSlot& slot, NarrowCopy& copy) {
  slot.p.bump_version();
  if (!slot.copy.defined()) return;
  slot.copy.bump_version();
  copy.version = slot.p.version();
}

}  // namespace

// A copy that is out of date is nobody's; it is made anew when somebody asks for it. So is one of a
// parameter in f64.
AdamWSlot AdamW::arrays(const Slot& slot) {
  const Moment &m = slot.moments[0], &v = slot.moments[1];
  const bool fresh = slot.parameter.dtype() == DType::f32 && slot.copy->is_of(slot.parameter);
  return {grad(slot.parameter),
          m.values,
          v.values,
          slot.parameter,
          decays(slot.parameter),
          slot.bounds.low,
          slot.bounds.high,
          m.scale,
          v.scale,
          fresh ? slot.copy->tensor : Tensor(),
          stream_of(slot.name),
          slot.rate};
}

void AdamW::update(const Step& s, const Tensor& squares, const std::vector<Slot*>& all) {
  std::vector<AdamWSlot> slots;
  for (const Slot* slot : all) {
    slots.push_back(arrays(*slot));
    check_slot(slot->name, slots.back(), all[0]->parameter);
  }
  const AdamWStep step{s.lr,       config_.beta1, config_.beta2, config_.eps,  config_.weight_decay,
                       s.max_norm, s.t,           s.loss_scale,  config_.seed, config_.stochastic};
  kernel::adamw_step(slots[0].p.device(), step, squares, slots, vanished_);
  for (size_t i = 0; i < slots.size(); ++i) write_versions(slots[i], *all[i]->copy);
}

}  // namespace diptych::nn
