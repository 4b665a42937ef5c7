// clip/weights/model_spec.cpp — configurations as files, and changes to them.
#include "clip/weights/model_spec.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "clip/spelling.h"
#include "tensor/io/file.h"
#include "tensor/io/json.h"

namespace diptych {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kMaxConfigBytes = 1 << 20;
constexpr const char* kTowers[] = {"vision", "text"};

ModelConfig read_config_file(const std::string& path) {
  const std::string text = read_file(path, kMaxConfigBytes);
  check_json("config: '" + path + '\'', text);
  const Json json = Json::parse(text);
  try {
    return model_config_from_json(
        json.is_object() && json.contains("config") ? json.at("config").dump() : text);
  } catch (const Error& error) {
    fail("'", path, "': ", error.what());
  }
}

// "vision.layers" of every value there is.
std::vector<std::string> keys_of(const Json& config) {
  std::vector<std::string> keys;
  const Json flat = config.flatten();
  for (const auto& [pointer, value] : flat.items()) {
    std::string key = pointer.substr(1);
    std::replace(key.begin(), key.end(), '/', '.');
    keys.push_back(std::move(key));
  }
  return keys;
}

// "vision.layers"; ModelConfig's own name for it, "vision.transformer.layers", is understood.
std::string key_in_file(std::string key) {
  constexpr std::string_view kInside = ".transformer.";
  if (const size_t at = key.find(kInside); at != std::string::npos)
    key.replace(at, kInside.size(), ".");
  return key;
}

Json::json_pointer pointer_to(const std::string& key) {
  std::string path = '/' + key;
  std::replace(path.begin(), path.end(), '.', '/');
  return Json::json_pointer(path);
}

Json value_of(const std::string& text) {
  Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  return value.is_discarded() ? Json(text) : value;
}

// What to_json leaves out where it is as usual.
bool is_optional(const std::string& key) {
  constexpr const char* kOptional[] = {"vision.activation",
                                       "vision.layer_norm_eps",
                                       "vision.pre_norm",
                                       "vision.pooling",
                                       "vision.norm_after_pooling",
                                       "text.causal",
                                       "text.type",
                                       "text.pooling",
                                       "text.eos_id",
                                       "text.foreign_tokenizer",
                                       "preprocess.shortest",
                                       "preprocess.crop_rounds_down",
                                       "preprocess.interpolation"};
  return std::find(std::begin(kOptional), std::end(kOptional), key) != std::end(kOptional);
}

void change(const std::string& given, Json& config, std::vector<std::string>& changed) {
  const size_t equals = given.find('=');
  check(equals != std::string::npos && equals > 0, "--set: '", given,
        "' is no key=value, such as vision.layers=6");
  const std::string key = key_in_file(given.substr(0, equals));
  const std::vector<std::string> known = keys_of(config);
  if (std::find(known.begin(), known.end(), key) == known.end() && !is_optional(key)) {
    const std::string guess = nearest(key, known);
    fail("--set: there is no '", given.substr(0, equals), "' in this model",
         guess.empty() ? "; see the keys in `diptych info MODEL --json`"
                       : "; did you mean " + guess + "?");
  }
  config[pointer_to(key)] = value_of(given.substr(equals + 1));
  changed.push_back(key);
}

bool is_bag(const Json& tower) { return tower.value("type", "") == "cbow"; }

// The MLPs follow their towers, and a bag of words has nothing but a width.
void settle(const Json& before, const std::vector<std::string>& changed, Json& config) {
  for (const std::string tower : kTowers) {
    Json& now = config[tower];
    const Json& was = before[tower];
    const auto is_given = [&](const char* key) {
      return std::find(changed.begin(), changed.end(), tower + '.' + key) != changed.end();
    };
    for (const char* key : {"layers", "heads", "mlp_width"})
      if (is_bag(now) && !is_bag(was) && !is_given(key)) now.erase(key);
    const bool given = is_given("mlp_width");
    if (given || !now.contains("mlp_width") || !now["width"].is_number_integer()) continue;
    if (was["mlp_width"] == 4 * was["width"].get<int64_t>())
      now["mlp_width"] = 4 * now["width"].get<int64_t>();
  }
}

}  // namespace

bool is_config_file(const std::string& model) { return model.ends_with(".json"); }

ModelConfig model_from(const std::string& model, const std::vector<std::string>& changes) {
  const ModelConfig named = is_config_file(model) ? read_config_file(model) : preset(model);
  if (changes.empty()) return named;
  const Json before = Json::parse(to_json(named));
  Json config = before;
  std::vector<std::string> changed;
  for (const std::string& given : changes) change(given, config, changed);
  settle(before, changed, config);
  try {
    return model_config_from_json(config.dump());
  } catch (const Error& error) {
    fail("--set: ", error.what());
  }
}

}  // namespace diptych
