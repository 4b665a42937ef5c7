// clip/train/params_file.cpp — reading params.json.
#include "clip/train/params_file.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tensor/io/file.h"
#include "tensor/io/json.h"

namespace diptych {

namespace {

using Json = nlohmann::ordered_json;

Json read_params(const std::string& path) { return Json::parse(params_text(path)); }

}  // namespace

std::string params_text(const std::string& path) {
  check(std::filesystem::is_regular_file(path), "resume: there is no '", path,
        "', which tells what the run was begun with; --resume goes on in the folder of the run");
  const std::string text = read_file(path, int64_t{1} << 20);
  check_json("resume: '" + path + "' is damaged", text);
  Json params = Json::parse(text, nullptr, false);
  check(params.is_object(), "resume: '", path, "' is damaged");
  check(params.contains(kFree), "resume: '", path,
        "' was written by an older version and does not tell what the run was trained on; begin a "
        "new run with another --name");
  return text;
}

PrecisionConfig precision_of_run(const std::string& path) {
  const Json params = read_params(path), &free = params.at(kFree);
  // The first name is that of runs of before there was a choice. Returns which it is.
  const auto chosen = [&](const char* key, const std::vector<std::string>& names) {
    const auto it = free.find(key);
    if (it == free.end()) return size_t{0};
    const auto found = std::find(names.begin(), names.end(), *it);
    check(found != names.end(), "resume: '", path, "': ", key, " is ", it->dump(),
          ", and there is none of that name");
    return static_cast<size_t>(found - names.begin());
  };
  constexpr DType kTypes[] = {DType::f32, DType::f16, DType::bf16};
  const PrecisionConfig c{precision_from(precision_names()[chosen("precision", precision_names())]),
                          kTypes[chosen("adam_stats", {"f32", "f16"})],
                          kTypes[chosen("text_weights", {"f32", "f16", "bf16"})],
                          chosen("rounding", {"stochastic", "nearest"}) == 1};
  check(is_consistent(c), "resume: '", path, "': precision is ", name(c.precision),
        ", which text_weights ", name(c.text_weights), " contradict");
  return c;
}

ModelConfig model_of_run(const std::string& path) {
  const Json params = read_params(path);
  check(params.contains("model"), "resume: '", path, "' does not tell the model; it is damaged");
  return model_config_from_json(params.at("model").dump());
}

GivenFlags flags_of_run(const std::string& path) {
  const Json params = read_params(path), &free = params.at(kFree);
  const auto flags = free.find(kFlagsKey);
  try {
    return flags == free.end() ? GivenFlags{} : flags->get<GivenFlags>();
  } catch (const Json::exception&) {
    fail("resume: '", path, "': its flags are damaged; give those of the run");
  }
}

std::string val_data_of_run(const std::string& path) {
  const Json params = read_params(path);
  return params.at(kFree).value("val_data", "");
}

std::string pretrained_of_run(const std::string& path) {
  const Json params = read_params(path);
  const auto it = params.find(kPretrainedKey);
  return it != params.end() && it->is_string() ? it->get<std::string>() : "";
}

std::string version_of_run(const std::string& path) {
  const Json params = read_params(path);
  const auto version = params.at(kFree).find(kVersionKey);
  return version != params.at(kFree).end() && version->is_string() ? version->get<std::string>()
                                                                   : "";
}

}  // namespace diptych
