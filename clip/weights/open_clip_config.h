// clip/weights/open_clip_config.h — open_clip's configurations.
#pragma once

#include <string>

#include "clip/weights/key_table.h"

namespace diptych {

/// Every field of open_clip 3.3's CLIP, CLIPVisionCfg, CLIPTextCfg (src/open_clip/model.py) and
/// PreprocessCfg (transform.py).
const ConfigFormat& open_clip_format();

/// Takes from an open_clip_config.json, or from one of open_clip's model_configs/*.json, what the
/// shapes of tensors do not tell, and compares what they do tell. Throws Error naming a key that is
/// unknown, wrong, or asks for something that is not supported.
void apply_open_clip_config(const std::string& json, ModelConfig&);

}  // namespace diptych
