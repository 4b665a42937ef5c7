// nn/layer_table.h — every layer as a function of its input and parameters, small enough to
// gradient-check.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace diptych::nn {

struct LayerCase {
  std::string name;
  /// f64 leaves: the input first if it is differentiable, then every parameter, drawn at random.
  std::vector<Tensor> inputs;
  std::function<Tensor(const std::vector<Tensor>&)> f;
};

/// Linear … VisionTransformer and TextTransformer, tiny. Built anew on each call.
std::vector<LayerCase> layer_table();

}  // namespace diptych::nn
