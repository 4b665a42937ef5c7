// nn/layer_table.h — every layer as a function of its input and parameters, small enough to
// gradient-check.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "nn/module.h"

namespace diptych::nn {

struct LayerCase {
  std::string name;
  /// f64 leaves: the input first if it is differentiable, then every parameter, drawn at random.
  std::vector<Tensor> inputs;
  std::function<Tensor(const std::vector<Tensor>&)> f;
  std::shared_ptr<Module> layer;
};

/// Linear … VisionTransformer and TextTransformer, tiny, on that device. Built anew on each call.
std::vector<LayerCase> layer_table(Device = Device::cpu);

}  // namespace diptych::nn
