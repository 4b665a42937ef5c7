// clip/curves/record.cpp — strict about what is drawn, indifferent to what is not.
#include "clip/curves/record.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "tensor/io/file.h"
#include "tensor/io/json.h"
#include "tensor/types.h"

namespace diptych::curves {
namespace {

using Json = nlohmann::json;

constexpr const char* kFigures[] = {"loss",        "mean_loss", "chance_loss", "loss_floor",
                                    "lr",          "grad_norm", "logit_scale", "pairs_per_second",
                                    "bad_samples", "skipped"};
constexpr const char* kPosition[] = {"step", "samples", "epoch", "val"};

template <size_t N>
bool is_one_of(const char* const (&names)[N], const std::string& name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

std::optional<double> number(const Json& value) {
  if (value.is_number()) return value.get<double>();
  if (value == "nan" || value == "-nan") return NAN;
  if (value == "inf") return INFINITY;
  if (value == "-inf") return -INFINITY;
  return std::nullopt;
}

double figure(const std::string& key, const Json& value) {
  const std::optional<double> x = number(value);
  check(x.has_value(), key, " is ", in_quotes(value.dump()), ", no number");
  return *x;
}

// What f64 counts exactly.
int64_t whole(const Json& line, const char* key) {
  const auto it = line.find(key);
  check(it != line.end(), "it has no ", key);
  check(it->is_number_integer(), key, " is ", in_quotes(it->dump()), ", no whole number");
  const double value = it->get<double>();
  check(value >= 0 && value <= 0x1p53, key, " is ", value, ", which no run reaches");
  return it->get<int64_t>();
}

// They are printed, and stand in tables.
void check_name(const std::string& name) {
  constexpr size_t kLongest = 64;
  const auto printable = [](char c) { return c > ' ' && c < 0x7f; };
  check(
      !name.empty() && name.size() <= kLongest && std::all_of(name.begin(), name.end(), printable),
      "val has ", in_quotes(name), ", no name of a figure");
}

void add_validation(Record& record, const Json& val) {
  check(val.is_object(), "val is ", in_quotes(val.dump()), ", no object");
  record.validation = true;
  for (const auto& [key, value] : val.items()) {
    check_name(key);
    record.values.emplace_back("val/" + key, figure("val/" + key, value));
  }
}

}  // namespace

Record record_of(std::string_view line) {
  check_json("damaged", line);
  const Json json = Json::parse(line);
  check(json.is_object(), "no object: ", in_quotes(line));
  Record record;
  record.step = whole(json, "step");
  record.samples = whole(json, "samples");
  if (const auto val = json.find("val"); val != json.end()) add_validation(record, *val);
  record.training = json.contains("loss");
  check(record.training || record.validation, "it has neither loss nor val");
  for (const auto& [key, value] : json.items()) {
    if (is_one_of(kPosition, key)) continue;
    if (!is_one_of(kFigures, key))
      record.unread.push_back(key);
    else
      record.values.emplace_back(key, figure(key, value));
  }
  return record;
}

}  // namespace diptych::curves
