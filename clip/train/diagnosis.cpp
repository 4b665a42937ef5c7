// clip/train/diagnosis.cpp — every result of every operator, looked at.
#include "clip/train/diagnosis.h"

#include "tensor/finite.h"

namespace diptych {
namespace {

// "layer_norm (64, 128) bf16, in the backward pass"
std::string described(const char* op, const Tensor& x, bool backward) {
  std::string text = op;
  text += ' ';
  append_text(text, x.shape());
  return text + ' ' + name(x.dtype()) + (backward ? ", in the backward pass" : "");
}

// A copy of it in 16 bits is then the first result, which has no name.
std::string first_value(const Clip& model) {
  for (const NamedTensor& value : model.state_dict())
    if (!all_finite(value.tensor)) return "; " + value.name + " is not finite itself";
  return "";
}

std::string first_gradient(const Clip& model) {
  for (const auto& entry : model.named_parameters()) {
    if (!needs_grad(entry.tensor)) continue;
    const Tensor& g = grad(entry.tensor);
    if (g.defined() && !all_finite(g)) return "; the gradient of " + entry.name + " is not finite";
  }
  return "";
}

}  // namespace

std::string diagnosis(const Clip& model, const std::function<void()>& step) {
  std::string first;
  const std::string value = first_value(model);  // before running statistics follow the step
  const auto look = [&first](const char* op, const Tensor& x, bool backward) {
    if (!first.empty() || all_finite(x)) return;
    first = "; the first operator with a result that is not finite: " + described(op, x, backward);
  };
  {
    const OpWatch watch(look);
    step();
  }
  return first + value + first_gradient(model);
}

}  // namespace diptych
