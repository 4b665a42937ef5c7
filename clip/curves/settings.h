// clip/curves/settings.h — in which settings runs differ.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace diptych::curves {

/// What params.json of a run says: "model.text.width" → "512", as JSON. What may change while a run
/// goes on stands beside the rest.
using Settings = std::map<std::string, std::string>;

/// Reads <folder>/params.json. Throws Error, starting with "settings: ", if it is not there or
/// damaged.
Settings read_settings(const std::string& folder);

/// A setting that is not the same in all runs; "" where a run does not have it.
struct Difference {
  std::string key;
  std::vector<std::string> values;  ///< in the order of the runs
};

/// By key.
std::vector<Difference> differences(const std::vector<Settings>&);

}  // namespace diptych::curves
