// clip/train/run_settings.h — params.json: what a run was begun with, and what may not change.
#pragma once

#include <string>

#include "clip/data_source.h"
#include "clip/train/params_file.h"
#include "clip/train/train.h"

namespace diptych {

/// What decides which bits a run ends with, and what else is told about it.
struct RunSettings {
  // May change from one part of a run to the next.
  std::string train_data;       ///< as given: a table may move, with relative paths
  std::string val_data;         ///< as given
  std::string pretrained_from;  ///< --pretrained as given
  std::string vocabulary_file;  ///< empty: learned from the captions
  GivenFlags flags;             ///< of the command line: what --resume repeats
  std::string report_to = "none";
  // May not.
  int64_t pairs = 0;
  std::string pictures, captions;  ///< fingerprint_of(paths as the source gives them), of captions
  std::string vocabulary;          ///< fingerprint_of(merges)
  std::string pretrained;          ///< fingerprint_of(weights) it began with; empty: drawn by seed
  PairOptions columns;
  ImageLimits limits;
  TrainConfig train;  ///< resolved(); some of it may change, see run_settings.cpp
  ModelConfig model;
};

/// SHA-256 of texts in their order.
std::string fingerprint_of(const Texts&);
std::string fingerprint_of(const std::string& text);
/// SHA-256 of names and values.
std::string fingerprint_of(const std::vector<NamedTensor>& weights);

/// params.json.
std::string to_json(const RunSettings&);
/// SHA-256 of what may not change.
std::string fingerprint(const RunSettings&);

/// Throws Error naming the first setting that is not what it was, in the file that to_json() wrote.
void check_same_run(const RunParams& begun, const RunSettings& now);

}  // namespace diptych
