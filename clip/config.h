// clip/config.h — what a CLIP is made of, as data: architecture, activation, pre-processing.
#pragma once

#include <string>
#include <vector>

#include "data/image.h"
#include "nn/text_transformer.h"
#include "nn/vit.h"

namespace diptych {

/// Everything that must be known to compute the same features from the same weights. Stored as JSON
/// in the metadata of every model file, so that no loader has to guess.
struct ModelConfig {
  nn::VitConfig vision;
  nn::TextConfig text;
  Preprocess preprocess;  ///< size and channels equal those of `vision`

  int64_t embed_dim() const { return vision.embed_dim; }
};

std::string to_json(const ModelConfig&);
/// Throws Error naming the key if one is missing, unknown or of the wrong type.
ModelConfig model_config_from_json(const std::string& json);

/// A model known by name. Throws Error listing the names, with the nearest one as a suggestion.
ModelConfig preset(const std::string& name);
const std::vector<std::string>& preset_names();

/// The name in `known` within two edits of `name`; empty if there is none.
std::string nearest(const std::string& name, const std::vector<std::string>& known);

}  // namespace diptych
