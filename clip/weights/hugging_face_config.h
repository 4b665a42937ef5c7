// clip/weights/hugging_face_config.h — configurations of transformers' CLIPModel and
// CLIPImageProcessor.
#pragma once

#include <string>

#include "clip/weights/key_table.h"

namespace diptych {

/// config.json: what transformers' CLIPConfig, CLIPTextConfig and CLIPVisionConfig write, from 4.6
/// to 5.24.
const ConfigFormat& hugging_face_format();
/// preprocessor_config.json: CLIPImageProcessor's.
const ConfigFormat& hugging_face_preprocessor_format();

/// Takes from a config.json what the shapes of tensors do not tell, and compares what they do tell.
/// What it leaves out has the defaults of transformers. Throws Error naming a key that is unknown,
/// wrong, or asks for something that is not supported.
void apply_hugging_face_config(const std::string& json, ModelConfig&);
/// Mean, std, sizes and resampling, rescaling folded into mean and std:
///   (f v - mean) / std = (v / 255 - mean / (255 f)) / (std / (255 f)).
void apply_hugging_face_preprocessor(const std::string& json, ModelConfig&);

}  // namespace diptych
