// clip/curves/settings.cpp — params.json, flat.
#include "clip/curves/settings.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "tensor/io/file.h"
#include "tensor/io/json.h"
#include "tensor/types.h"

namespace diptych::curves {
namespace {

using Json = nlohmann::json;

// "/may_change/precision" → "precision", "/model/text/width" → "model.text.width".
std::string key_of(std::string pointer) {
  constexpr std::string_view kFree = "/may_change";
  if (pointer.starts_with(kFree) && pointer.size() > kFree.size()) pointer.erase(0, kFree.size());
  std::replace(pointer.begin(), pointer.end(), '/', '.');
  return pointer.substr(1);
}

void add(Settings& to, const std::string& key, const std::string& value, const std::string& where) {
  const bool printable =
      std::none_of(key.begin(), key.end(), [](char c) { return static_cast<uint8_t>(c) < 0x20; });
  check(printable, where, in_quotes(key), " is no name of a setting");
  check(to.emplace(key, value).second, where, key, " is there twice");
}

}  // namespace

Settings read_settings(const std::string& folder) {
  const std::string path = folder + "/params.json";
  check(is_there(path), "settings: there is no '", path, "'");
  const std::string text = read_file(path, int64_t{1} << 20);
  check_json("settings: '" + path + "' is damaged", text);
  const Json params = Json::parse(text);
  check(params.is_object() && !params.empty(), "settings: '", path, "' is damaged: no settings");
  Settings settings;
  const Json flat = params.flatten();
  for (const auto& [pointer, value] : flat.items())
    if (!pointer.starts_with("/may_change/flags/"))  // what they lead to stands beside them
      add(settings, key_of(pointer), value.dump(), "settings: '" + path + "' is damaged: ");
  return settings;
}

std::vector<Difference> differences(const std::vector<Settings>& runs) {
  std::set<std::string> keys;
  for (const Settings& run : runs)
    for (const auto& [key, unused] : run) keys.insert(key);
  std::vector<Difference> different;
  for (const std::string& key : keys) {
    Difference row{key, {}};
    for (const Settings& run : runs) row.values.push_back(run.contains(key) ? run.at(key) : "");
    const auto other = [&](const std::string& value) { return value != row.values[0]; };
    if (std::any_of(row.values.begin(), row.values.end(), other)) different.push_back(row);
  }
  return different;
}

}  // namespace diptych::curves
