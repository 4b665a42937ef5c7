// clip/train/params_file.h — what params.json tells about a run.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "clip/config.h"
#include "clip/precision.h"

namespace diptych {

/// Values as given, by flag: {"--lr", {"1e-3"}}; {"true"} where there is none.
using GivenFlags = std::map<std::string, std::vector<std::string>>;

inline constexpr const char *kFree = "may_change",  ///< the part that may change on resume
    *kVersionKey = "diptych", *kFlagsKey = "flags", *kPretrainedKey = "pretrained";

/// The whole file, an object of JSON. Throws Error if it is not there, damaged, or of before it
/// told what a run was trained on.
std::string params_text(const std::string& path);

/// The precision that the file tells; fp32 where it was written before there were others.
PrecisionConfig precision_of_run(const std::string& path);

/// The architecture of the run.
ModelConfig model_of_run(const std::string& path);
/// The flags that the run was begun with; none if an older version did not keep them.
GivenFlags flags_of_run(const std::string& path);
/// What the run was validated on, as given; empty if on nothing.
std::string val_data_of_run(const std::string& path);
/// The fingerprint of the weights that the run began with; empty if its seed drew them.
std::string pretrained_of_run(const std::string& path);

/// The version of the program that wrote the file; empty if it does not say.
std::string version_of_run(const std::string& path);

}  // namespace diptych
