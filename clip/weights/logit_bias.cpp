// clip/weights/logit_bias.cpp — a parameter more, or one less.
#include "clip/weights/logit_bias.h"

namespace diptych {

void set_logit_bias(std::vector<NamedTensor>& weights, std::optional<double> bias) {
  std::erase_if(weights, [](const NamedTensor& x) { return x.name == "logit_bias"; });
  if (bias) weights.push_back({"logit_bias", full({}, *bias)});
}

std::unique_ptr<Clip> with_logit_bias(const Clip& model, std::optional<double> bias) {
  std::vector<NamedTensor> weights = model.state_dict();
  set_logit_bias(weights, bias);
  ModelConfig config = model.config();
  config.logit_bias = bias.has_value();
  auto other = std::make_unique<Clip>(config);
  other->load_state(weights);
  other->use(model.precision());
  other->to(model.device());
  return other;
}

}  // namespace diptych
