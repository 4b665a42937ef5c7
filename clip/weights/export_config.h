// clip/weights/export_config.h — configurations as open_clip and Hugging Face read them.
#pragma once

#include <string>

#include "clip/config.h"
#include "data/text/tokenizer.h"

namespace diptych {

/// open_clip_config.json. Throws Error if open_clip has no words for the model.
std::string open_clip_config(const ModelConfig&);

/// config.json and preprocessor_config.json. Throw Error if transformers' CLIPModel cannot be this
/// model. The tokenizer tells the end token of captions; may be null.
std::string hugging_face_config(const ModelConfig&, const Tokenizer*);
std::string hugging_face_preprocessor(const ModelConfig&);

}  // namespace diptych
