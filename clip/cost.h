// clip/cost.h — what a model costs before it is run.
#pragma once

#include "clip/config.h"

namespace diptych {

struct Cost {
  double forward_flops =
      0;  ///< matrix products of one picture and one caption; a multiply-add counts 2
  int64_t state_bytes = 0;     ///< parameters, gradients, two moments, f32
  int64_t training_bytes = 0;  ///< plus the activations kept for backward
};

/// B pairs per step, captions of `text_length` tokens.
Cost estimate_cost(const ModelConfig&, int64_t parameters, int64_t batch_size, int64_t text_length);

}  // namespace diptych
