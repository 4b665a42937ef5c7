// clip/cost.h — what a model computes before it is run.
#pragma once

#include "clip/config.h"

namespace diptych {

/// Matrix products of a forward pass of one picture and one caption of `text_length` tokens; a
/// multiply-add counts 2. Training takes three times that.
double forward_flops(const ModelConfig&, int64_t text_length);

}  // namespace diptych
