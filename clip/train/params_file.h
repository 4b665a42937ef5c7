// clip/train/params_file.h — what params.json tells about a run.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "clip/config.h"
#include "clip/precision.h"

namespace diptych {

/// Values as given, by flag: {"--lr", {"1e-3"}}; {"true"} where there is none.
using GivenFlags = std::map<std::string, std::vector<std::string>>;

inline constexpr const char* kFree = "may_change";  ///< the part that may change on resume
inline constexpr const char* kVersionKey = "diptych";
inline constexpr const char* kFlagsKey = "flags";
inline constexpr const char* kPretrainedKey = "pretrained";

/// What the file tells, as it stood there when it was read.
struct RunParams {
  std::string path, text;            ///< text: the whole, an object of JSON
  PrecisionConfig precision;         ///< fp32 where it was written before there were others
  std::optional<ModelConfig> model;  ///< the architecture
  GivenFlags flags;        ///< that the run was begun with; none if an older version kept none
  std::string val_data;    ///< what it was validated on, as given; empty if on nothing
  std::string pretrained;  ///< the fingerprint of the weights it began with; empty if drawn
  std::string version;     ///< of the program that wrote the file; empty if it does not say
};

/// Throws Error if the file is not there, damaged, or of before it told what a run was trained on.
RunParams read_run_params(const std::string& path);

}  // namespace diptych
