// clip/weights/export.h — models for open_clip and Hugging Face.
#pragma once

#include <string>

#include "clip/model.h"
#include "data/text/tokenizer.h"

namespace diptych {

/// Writes `folder`/open_clip_model.safetensors, in f32, and open_clip_config.json, which open_clip
/// loads as "local-dir:folder". Throws Error if open_clip has no words for the model.
void export_open_clip(const std::string& folder, const Clip&);

/// Writes `folder`/model.safetensors, in f32, config.json and preprocessor_config.json for
/// transformers' CLIPModel and CLIPImageProcessor and, if there is a vocabulary, the files that
/// AutoTokenizer reads. Throws Error for what CLIPModel cannot be, such as a ResNet.
void export_hugging_face(const std::string& folder, const Clip&, const Tokenizer*);

}  // namespace diptych
