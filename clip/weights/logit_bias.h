// clip/weights/logit_bias.h — weights made for one of the losses of clip/loss.h, for the other.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "clip/model.h"

namespace diptych {

/// With that bias of logits, or without one.
void set_logit_bias(std::vector<NamedTensor>& weights, std::optional<double> bias);

/// The model so, on the same device and in the same precision.
std::unique_ptr<Clip> with_logit_bias(const Clip&, std::optional<double> bias);

}  // namespace diptych
