// tests/config_files.h — the weights of the golden files under configurations of other libraries.
#pragma once

#include <string>
#include <vector>

#include "tests/files.h"

namespace diptych::test {

inline constexpr const char* kTinyWeights = "tests/golden/tiny_clip.safetensors";
inline constexpr const char* kConfigGolden = "tests/golden/configs.safetensors";

/// One of the configurations in the golden file.
struct ConfigVariant {
  std::string library, name;  ///< library: "open_clip" or "transformers"
  std::string json;
};

std::vector<ConfigVariant> config_variants();
/// The JSON of one of them.
std::string config_variant(const std::string& library, const std::string& name);

/// The weights of the golden files without the configuration they carry.
std::vector<NamedTensor> bare_weights(bool pre_norm = true);
/// A folder as the library lays it out, but for the name of the weights, whose path is returned.
std::string write_model_folder(const TempDir&, const std::string& library, const std::string& json);

}  // namespace diptych::test
