// clip/cli/train_precision.h — the flags of `diptych train` that say what is kept in which type.
#pragma once

#include "clip/cli/command.h"

namespace diptych::cli {

/// Empty ones were not given.
struct TrainPrecisionFlags {
  std::string precision, adam_stats, text_weights, rounding;
  bool explain_precision = false;

  void declare(Command);        ///< all
  void declare_types(Command);  ///< --precision, --adam-stats, --text-weights
  /// What was given, and for the rest what the run has been trained in so far, or by default.
  /// Throws UsageError for an unknown name, or for flags that say nothing together.
  PrecisionConfig config(const PrecisionConfig& so_far = {}) const;
};

/// What becomes of parameters and moments that were kept as `before` says: a sentence, empty if
/// nothing does.
std::string conversion(const PrecisionConfig& before, const PrecisionConfig& now);

}  // namespace diptych::cli
