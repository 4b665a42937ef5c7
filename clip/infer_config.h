// clip/infer_config.h — the architecture of a file that has OpenAI's names but no configuration.
#pragma once

#include <string>
#include <vector>

#include "clip/config.h"

namespace diptych {

struct InferredConfig {
  ModelConfig config;
  std::string notes;  ///< one line per quantity: what was inferred, and from what
};

/// Reads the sizes off the tensors' shapes by the rules of openai/CLIP clip/model.py, build_model:
/// heads of 64, QuickGELU, OpenAI's mean and std. Throws Error if a tensor it needs is missing or
/// misshapen.
InferredConfig infer_config(const std::vector<NamedTensor>& tensors);

}  // namespace diptych
