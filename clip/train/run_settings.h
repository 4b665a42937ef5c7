// clip/train/run_settings.h — params.json: what a run was begun with, and what may not change.
#pragma once

#include <string>

#include "clip/data_source.h"
#include "clip/train/train.h"

namespace diptych {

/// What decides which bits a run ends with, and what else is told about it.
struct RunSettings {
  // May change from one part of a run to the next.
  std::string train_data;       ///< as given: a table may move, with relative paths
  std::string vocabulary_file;  ///< empty: learned from the captions
  // May not.
  int64_t pairs = 0;
  std::string pictures, captions;  ///< fingerprint_of(paths as the source gives them), of captions
  std::string vocabulary;          ///< fingerprint_of(merges)
  PairOptions columns;
  ImageLimits limits;
  TrainConfig train;  ///< resolved(); some of it may change, see run_settings.cpp
  ModelConfig model;
};

/// SHA-256 of texts in their order.
std::string fingerprint_of(const Texts&);
std::string fingerprint_of(const std::string& text);

/// params.json.
std::string to_json(const RunSettings&);
/// SHA-256 of what may not change.
std::string fingerprint(const RunSettings&);

/// Throws Error naming the first setting that is not what it was, in the file that to_json() wrote.
void check_same_run(const std::string& path, const RunSettings& now);

/// The precision that the file tells; fp32 where it was written before there were others.
PrecisionConfig precision_of_run(const std::string& path);

/// The version of the program that wrote the file; empty if it does not say.
std::string version_of_run(const std::string& path);

}  // namespace diptych
