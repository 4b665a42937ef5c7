// clip/weights/choose_config.h — the configuration of weights that carry none.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "clip/weights/infer_config.h"
#include "clip/weights/read.h"

namespace diptych {

/// A file without a configuration of ours.
struct BareWeights {
  const std::string& path;
  const std::vector<NamedTensor>& tensors;  ///< under OpenAI's names
  bool hugging_face;                        ///< the names in the file were transformers'
  /// Looks for the activation in the code that TorchScript archives carry.
  std::function<std::optional<nn::Activation>()> activation_in_code;
};

/// Sizes come from the shapes of tensors. The rest comes from options.config or, without it, from
/// the file beside the weights that goes with the tensors' names: config.json and
/// preprocessor_config.json with transformers' names, open_clip_config.json with OpenAI's. Without
/// either the rest is OpenAI's, but for the activation: see read_weights. Notes say what came from
/// where. Throws Error naming file and key where a configuration contradicts the tensors or asks
/// for something that is not supported.
InferredConfig choose_config(const BareWeights&, const LoadOptions&);

}  // namespace diptych
