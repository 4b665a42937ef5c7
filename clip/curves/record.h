// clip/curves/record.h — a line of metrics.jsonl.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace diptych::curves {

/// The figures of a step of training, or of a validation after it.
struct Record {
  int64_t step = 0, samples = 0;
  bool training = false, validation = false;           ///< which of them it tells of; perhaps both
  std::vector<std::pair<std::string, double>> values;  ///< of validation: "val/loss", …
  std::vector<std::string> unread;                     ///< keys of other things
};

/// Numbers may be written as "nan", "inf", "-inf", which JSON has no other way to say. Throws Error
/// with the reason if the line is anything else than a record.
Record record_of(std::string_view line);

}  // namespace diptych::curves
