// clip/weights/key_table.h — a configuration format of another library as one table: every key is
// obeyed, known to be harmless, or refused.
#pragma once

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "clip/config.h"

namespace diptych {

/// A value of a configuration as found, or what stands for it where it is left out. Every accessor
/// throws Error, naming file and key, if the value is of another kind.
class ConfigValue {
 public:
  ConfigValue(const std::string& file, const std::string& path, std::string json)
      : file_(file), path_(path), json_(std::move(json)) {}

  bool is_null() const { return json_ == "null"; }
  bool boolean() const;
  int64_t whole() const;    ///< -2³¹ … 2³¹, written as a whole number
  double positive() const;  ///< a number above 0
  double number() const;    ///< finite
  int64_t size() const;     ///< whole, 1 … 2²⁴
  std::string text() const;
  std::array<float, 3> triple() const;           ///< three finite numbers
  std::array<float, 3> positive_triple() const;  ///< above 0
  std::array<int64_t, 4> four_sizes() const;
  int64_t side() const;  ///< of a square: n, [n, n] or {"height": n, "width": n}
  bool is_list() const { return json_.starts_with('['); }
  /// {"key": …} as a value of its own; null if the object has none.
  ConfigValue member(const std::string& key) const;
  bool is_object() const { return json_.starts_with('{'); }
  std::vector<std::string> keys() const;  ///< of an object

  const std::string& json() const { return json_; }
  const std::string& path() const { return path_; }
  /// Throws Error: file, key, value and the reason.
  [[noreturn]] void refuse(const std::string& why) const;
  /// Refuses unless the tensors say the same.
  void expect(int64_t in_tensors) const;

 private:
  std::string file_, path_, json_;
};

enum class Reading : uint8_t {
  supported,  ///< obeyed, or compared with the tensors
  harmless,   ///< no value changes a feature
  refused     ///< any other value than the default would: Error
};

struct ConfigKey {
  std::string path;  ///< from the top, with dots: "text_cfg.pool_type"
  Reading reading;
  std::string otherwise;  ///< JSON: the format's default
  std::string meaning;    ///< what it does, or why it does not matter, or what is refused
  std::function<void(const ConfigValue&, ModelConfig&)> apply = {};  ///< of supported keys
  bool nullable = false;  ///< null goes to `apply`; else it is refused, unless it means the default
};

/// The keys in the order they are applied.
struct ConfigFormat {
  std::string file;  ///< what messages call it
  std::vector<ConfigKey> keys;
};

/// Walks the keys of a JSON object, refuses those that the table does not have, and applies the
/// table; not to a tower that the tensors lack. Throws Error, naming file and key.
void apply_config(const ConfigFormat&, const std::string& json, ModelConfig&);

/// The table for people: a row per key, and one per reason for those that are harmless.
std::string markdown(const ConfigFormat&);

}  // namespace diptych
