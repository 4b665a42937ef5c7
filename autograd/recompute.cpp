// autograd/recompute.cpp — two runs of one function: values first, their history when it is needed.
#include "autograd/recompute.h"

#include <utility>

namespace diptych {
namespace {

thread_local bool in_recomputation = false;

}  // namespace

Recompute::Recompute() : before_(std::exchange(in_recomputation, true)) {}
Recompute::~Recompute() { in_recomputation = before_; }
bool recomputing() { return in_recomputation; }

FirstRun::FirstRun(const char* op, const std::function<Tensor(const Tensor&)>& f, const Tensor& x) {
  check(f != nullptr, op, ": needs a function, got an empty one");
  const NoGrad no_grad;
  const InputLog log;
  y = f(x.detach());
  note_inputs({y});  // it may be one from outside
  used = log.inputs();
}

SecondRun::SecondRun(const std::function<Tensor(const Tensor&)>& f, const Tensor& x)
    : x_(track(x.detach())) {
  const GradMode grad_mode(true);
  y_ = f(x_);
}

Tensor SecondRun::backward(const Tensor& g) const {
  if (needs_grad(y_)) diptych::backward(y_, g);
  return grad(x_);
}

Tensor checkpoint(const std::function<Tensor(const Tensor&)>& f, const Tensor& x) {
  const FirstRun first("checkpoint", f, x);
  std::vector<Tensor> inputs{x};
  inputs.insert(inputs.end(), first.used.begin(), first.used.end());
  return record("checkpoint", first.y, inputs,
                [f, n = inputs.size(), x = Saved(x)](const Tensor& g) -> Grads {
                  Grads grads(n);
                  grads[0] = SecondRun(f, x.get()).backward(g);
                  return grads;
                });
}

}  // namespace diptych
