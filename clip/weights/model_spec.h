// clip/weights/model_spec.h — an architecture by name, by file, and with changes.
#pragma once

#include <string>
#include <vector>

#include "clip/config.h"

namespace diptych {

/// Whether it names a file rather than a preset.
bool is_config_file(const std::string& model);

/// `model` is a preset's name or a .json file with a configuration as `info --json` prints it,
/// alone or whole. `changes` are "key=value", the keys as in that file: "vision.layers=6",
/// "text.type=cbow"; where an MLP is four times as wide as its tower it stays so. Throws Error
/// naming file and key, with the nearest one for a key that is unknown.
ModelConfig model_from(const std::string& model, const std::vector<std::string>& changes = {});

}  // namespace diptych
