// clip/weights/check.h — what a model file must satisfy before a model is made of it.
#pragma once

#include <string>
#include <vector>

#include "clip/config.h"

namespace diptych {

/// Throws Error, naming the tensor and how many of its elements, unless every number can be a
/// weight of a model that computes in f32: finite there; for a running variance not negative; for
/// logit_scale such that its exponential is finite and not zero. Names may be anybody's (see
/// with_openai_names); what that drops is not looked at: OpenAI's masks hold -inf. One pass over
/// the weights, in parallel.
void check_values(const std::vector<NamedTensor>&);

/// Throws Error unless the tensors, under OpenAI's names, are exactly those of a model of this
/// configuration: of another architecture's it names the first that differs. Nothing is allocated
/// because the configuration says so: time and memory are bounded by the number of tensors.
void check_sizes(const ModelConfig&, const std::vector<NamedTensor>&);

}  // namespace diptych
