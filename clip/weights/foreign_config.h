// clip/weights/foreign_config.h — configurations as open_clip and Hugging Face write them beside a
// model.
#pragma once

#include <string>

#include "clip/config.h"

namespace diptych {

/// Takes from a Hugging Face config.json (transformers, CLIPConfig) what shapes do not tell: heads,
/// activation, eps. What it leaves out has the defaults of transformers. Throws Error if the text
/// is no such configuration.
void apply_hugging_face_config(const std::string& json, ModelConfig&);
/// The same from an open_clip_config.json, with mean, std and resize mode.
void apply_open_clip_config(const std::string& json, ModelConfig&);

std::string hugging_face_config(const ModelConfig&);
std::string hugging_face_preprocessor(const ModelConfig&);  ///< preprocessor_config.json
/// Throws Error if open_clip has no words for the model: another eps.
std::string open_clip_config(const ModelConfig&);

}  // namespace diptych
