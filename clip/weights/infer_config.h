// clip/weights/infer_config.h — the architecture of a file that has OpenAI's names but no
// configuration.
#pragma once

#include <string>
#include <vector>

#include "clip/config.h"

namespace diptych {

struct InferredConfig {
  ModelConfig config;
  std::string notes;  ///< one line per quantity: what was inferred, and from what
};

/// Reads the sizes off the shapes of tensors under OpenAI's names, by the rules of openai/CLIP
/// clip/model.py, build_model. Heads are those of a published model with a tower of that width and
/// depth, else 64 wide, else 0: unknown; the layer norms' eps, mean and std are OpenAI's. The
/// activation leaves no trace in a shape: it stays quick_gelu, and whoever calls must know better
/// or ask. Without a tensor of one tower, the configuration is of the other alone. Throws Error if
/// a tensor it needs is missing or misshapen.
InferredConfig infer_config(const std::vector<NamedTensor>& tensors);

/// The towers that tensors under OpenAI's names belong to; both if they belong to none.
Towers towers_in(const std::vector<NamedTensor>& tensors);

/// A note on what infer_config takes for granted.
std::string describe_assumed(const ModelConfig&);

/// Throws Error if the heads of a tower are still unknown.
void check_heads(const ModelConfig&);

}  // namespace diptych
