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

std::string read_text_of(const std::string& path) {
  check(std::filesystem::is_regular_file(path), "resume: there is no '", path,
        "', which tells what the run was begun with; --resume goes on in the folder of the run");
  std::string text = read_file(path, int64_t{1} << 20);
  check_json("resume: '" + path + "' is damaged", text);
  return text;
}

PrecisionConfig precision_in(const Json& free, const std::string& path) {
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

GivenFlags flags_in(const Json& free, const std::string& path) {
  const auto flags = free.find(kFlagsKey);
  try {
    return flags == free.end() ? GivenFlags{} : flags->get<GivenFlags>();
  } catch (const Json::exception&) {
    fail("resume: '", path, "': its flags are damaged; give those of the run");
  }
}

std::optional<ModelConfig> model_in(const Json& params, const std::string& path) {
  const auto model = params.find("model");
  if (model == params.end()) return std::nullopt;
  try {
    return model_config_from_json(model->dump());
  } catch (const Error& error) {
    fail("resume: '", path, "': model: ", error.what());
  }
}

std::string text_in(const Json& json, const char* key) {
  const auto it = json.find(key);
  return it != json.end() && it->is_string() ? it->get<std::string>() : "";
}

}  // namespace

RunParams read_run_params(const std::string& path) {
  RunParams run{path, read_text_of(path), {}, {}, {}, {}, {}, {}};
  const Json params = Json::parse(run.text, nullptr, false);
  check(params.is_object(), "resume: '", path, "' is damaged");
  const auto free = params.find(kFree);
  check(free != params.end(), "resume: '", path,
        "' was written by an older version and does not tell what the run was trained on; begin a "
        "new run with another --name");
  run.precision = precision_in(*free, path);
  run.model = model_in(params, path);
  run.flags = flags_in(*free, path);
  run.val_data = text_in(*free, "val_data");
  run.pretrained = text_in(params, kPretrainedKey);
  run.version = text_in(*free, kVersionKey);
  return run;
}

}  // namespace diptych
