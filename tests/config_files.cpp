// tests/config_files.cpp — folders of models as other libraries write them.
#include "tests/config_files.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "clip/weights/names.h"
#include "tensor/io/safetensors.h"

namespace diptych::test {

std::vector<ConfigVariant> config_variants() {
  using Json = nlohmann::ordered_json;
  std::vector<ConfigVariant> variants;
  const Json all = Json::parse(load_safetensors(kConfigGolden).metadata.at("variants"));
  for (const Json& v : all) variants.push_back({v["library"], v["name"], v["config"].dump()});
  return variants;
}

std::string config_variant(const std::string& library, const std::string& name) {
  for (const ConfigVariant& v : config_variants())
    if (v.library == library && v.name == name) return v.json;
  fail("test: no variant '", name, "' of ", library);
}

std::vector<NamedTensor> bare_weights(bool pre_norm) {
  auto tensors = load_safetensors(kTinyWeights).tensors;
  if (!pre_norm)
    std::erase_if(tensors, [](const NamedTensor& t) { return contains(t.name, ".ln_pre."); });
  return tensors;
}

std::string write_model_folder(const TempDir& dir, const std::string& library,
                               const std::string& json) {
  const std::string folder = dir / library;
  std::filesystem::create_directories(folder);
  const auto tensors = bare_weights(!contains(json, "\"no_ln_pre\":true"));
  const bool theirs = library == "transformers";
  save_safetensors(folder + "/weights.safetensors",
                   theirs ? with_hugging_face_names(tensors) : tensors);
  put_file(folder + (theirs ? "/config.json" : "/open_clip_config.json"), json);
  return folder + "/weights.safetensors";
}

}  // namespace diptych::test
