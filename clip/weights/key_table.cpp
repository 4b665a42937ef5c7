// clip/weights/key_table.cpp — reading JSON by a table of keys.
#include "clip/weights/key_table.h"

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "clip/spelling.h"
#include "tensor/io/json.h"

namespace diptych {
namespace {

using Json = nlohmann::ordered_json;

Json parse(const std::string& file, const std::string& text) {
  check_json(file, text);
  const Json json = Json::parse(text);
  check(json.is_object(), file, ": not a JSON object: ", text.substr(0, 60));
  return json;
}

std::string joined(const std::string& path, const std::string& key) {
  return path.empty() ? key : path + '.' + key;
}

bool is_key(const ConfigFormat& format, const std::string& path) {
  return std::any_of(format.keys.begin(), format.keys.end(),
                     [&](const ConfigKey& key) { return key.path == path; });
}

bool holds_keys(const ConfigFormat& format, const std::string& path) {
  return std::any_of(format.keys.begin(), format.keys.end(),
                     [&](const ConfigKey& key) { return key.path.starts_with(path + '.'); });
}

std::string hint(const ConfigFormat& format, const std::string& path) {
  std::vector<std::string> paths;
  for (const ConfigKey& key : format.keys) paths.push_back(key.path);
  const std::string guess = nearest(path, paths);
  return guess.empty() ? "" : "; did you mean " + guess + "?";
}

void check_known(const ConfigFormat& format, const Json& object, const std::string& path) {
  for (const auto& [key, value] : object.items()) {
    const std::string here = joined(path, key);
    const bool plain = key.find('.') == std::string::npos;  // dots join the keys of a path
    if (plain && is_key(format, here)) continue;
    const bool inner = plain && holds_keys(format, here);
    if (inner && value.is_object()) {
      check_known(format, value, here);
    } else {
      check(inner && value.is_null(), format.file, ": ", here,
            inner ? " must be an object, got "
                  : " is not known here; remove it if it changes nothing: ",
            value.dump().substr(0, 60), inner ? "" : hint(format, here));
    }
  }
}

/// The value at a path; nothing if any part of it is missing.
std::optional<Json> find(const Json& json, std::string_view path) {
  const size_t dot = path.find('.');
  const auto it = json.is_object() ? json.find(path.substr(0, dot)) : json.end();
  if (!json.is_object() || it == json.end()) return std::nullopt;
  if (dot == std::string_view::npos) return *it;
  return find(*it, path.substr(dot + 1));
}

void apply(const ConfigFormat& format, const ConfigKey& key, const Json& json, ModelConfig& c) {
  if (key.reading == Reading::harmless) return;
  const std::optional<Json> found = find(json, key.path);
  const Json otherwise = Json::parse(key.otherwise);
  // Python takes null for false; for anything else it is no value.
  const bool is_default = !found || *found == otherwise ||
                          (found->is_null() && (otherwise == false || otherwise.is_null()));
  const ConfigValue value(format.file, key.path, (is_default ? otherwise : *found).dump());
  if (key.reading == Reading::refused && !is_default)
    value.refuse(fmt::format("not supported, only {} is: {}", key.otherwise, key.meaning));
  if (key.reading == Reading::refused) return;
  if (value.is_null() && !is_default && !key.nullable)
    value.refuse(fmt::format("it must have a value, such as {}", key.otherwise));
  key.apply(value, c);
}

/// There is nothing to compare it with.
bool is_of_missing_tower(const std::string& path, const ModelConfig& c) {
  const auto within = [&](const char* part) { return path.find(part) != std::string::npos; };
  return (!c.has_text() && within("text_c")) ||
         (!c.has_image() && (within("vision_c") || within("preprocess_c")));
}

constexpr const char* kReadings[] = {"supported", "harmless", "refused"};

}  // namespace

void ConfigValue::refuse(const std::string& why) const {
  fail(file_, ": ", path_, " is ", json_.substr(0, 80), ": ", why);
}

void ConfigValue::expect(int64_t in_tensors) const {
  if (size() != in_tensors)
    refuse(
        fmt::format("the tensors say {}; this configuration belongs to another model", in_tensors));
}

bool ConfigValue::boolean() const {
  const Json json = Json::parse(json_);
  if (!json.is_boolean()) refuse("it must be true or false");
  return json.get<bool>();
}

double ConfigValue::number() const {
  const Json json = Json::parse(json_);
  if (!json.is_number() || !std::isfinite(json.get<double>())) refuse("it must be a number");
  return json.get<double>();
}

double ConfigValue::positive() const {
  const double value = number();
  if (value <= 0) refuse("it must be above 0");
  return value;
}

int64_t ConfigValue::whole() const {
  const double value = number();
  if (value != std::floor(value) || std::fabs(value) > 2147483648.0)
    refuse("it must be a whole number");
  return static_cast<int64_t>(value);
}

int64_t ConfigValue::size() const {
  const int64_t value = whole();
  if (value < 1 || value > 1 << 24) refuse("it must be a whole number above 0");
  return value;
}

std::string ConfigValue::text() const {
  const Json json = Json::parse(json_);
  if (!json.is_string()) refuse("it must be a text");
  return json.get<std::string>();
}

std::array<float, 3> ConfigValue::triple() const {
  const Json json = Json::parse(json_);
  if (!json.is_array() || json.size() != 3) refuse("it must be three numbers");
  std::array<float, 3> values;
  for (size_t i = 0; i < 3; ++i) {
    values[i] = static_cast<float>(ConfigValue(file_, path_, json[i].dump()).number());
    if (!std::isfinite(values[i])) refuse("it must be three finite numbers");
  }
  return values;
}

std::array<float, 3> ConfigValue::positive_triple() const {
  const auto values = triple();
  for (const float x : values)
    if (x <= 0) refuse("they must be above 0");
  return values;
}

std::array<int64_t, 4> ConfigValue::four_sizes() const {
  const Json json = Json::parse(json_);
  if (!json.is_array() || json.size() != 4) refuse("it must be four whole numbers");
  std::array<int64_t, 4> values;
  for (size_t i = 0; i < 4; ++i) values[i] = ConfigValue(file_, path_, json[i].dump()).size();
  return values;
}

int64_t ConfigValue::side() const {
  if (!is_list() && !is_object()) return size();
  const Json json = Json::parse(json_);
  if (is_list() && json.size() != 2) refuse("it must be one side or two");
  const ConfigValue height =
                        is_list() ? ConfigValue(file_, path_, json[0].dump()) : member("height"),
                    width = is_list() ? ConfigValue(file_, path_, json[1].dump()) : member("width");
  if (height.size() != width.size() || (is_object() && json.size() != 2))
    refuse("only squares are supported");
  return height.size();
}

ConfigValue ConfigValue::member(const std::string& key) const {
  return {file_, joined(path_, key), find(Json::parse(json_), key).value_or(Json()).dump()};
}

std::vector<std::string> ConfigValue::keys() const {
  std::vector<std::string> keys;
  const Json json = Json::parse(json_);
  for (const auto& [key, value] : json.items()) keys.push_back(key);
  return keys;
}

void apply_config(const ConfigFormat& format, const std::string& text, ModelConfig& c) {
  const Json json = parse(format.file, text);
  check_known(format, json, "");
  for (const ConfigKey& key : format.keys)
    if (!is_of_missing_tower(key.path, c)) apply(format, key, json, c);
}

std::string markdown(const ConfigFormat& format) {
  std::string rows =
      fmt::format("| key of `{}` | | default | what it does |\n|---|---|---|---|\n", format.file);
  std::map<std::string, std::set<std::string>> harmless;  // why → last parts of paths
  for (const ConfigKey& key : format.keys) {
    if (key.reading == Reading::harmless)
      harmless[key.meaning].insert('`' + key.path.substr(key.path.rfind('.') + 1) + '`');
    else
      rows += fmt::format("| `{}` | {} | `{}` | {} |\n", key.path,
                          kReadings[static_cast<size_t>(key.reading)], key.otherwise, key.meaning);
  }
  for (const auto& [why, keys] : harmless)
    rows += fmt::format("| {} | harmless | | {} |\n", fmt::join(keys, ", "), why);
  return rows;
}

}  // namespace diptych
