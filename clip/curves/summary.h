// clip/curves/summary.h — what a run came to.
#pragma once

#include <string>
#include <vector>

#include "clip/curves/history.h"

namespace diptych::curves {

/// A figure of validation: its best value, which is the least of losses and ranks and the greatest
/// of all others, where that was first reached, and the last. NaN if it never was a number.
struct Validation {
  std::string name;  ///< as in "val": "loss", "image_to_text_R@1"
  double best = 0;
  int64_t best_step = 0;
  double last = 0;
};

struct Summary {
  int64_t steps = 0, pairs = 0;  ///< of the last record
  /// Mean of the losses told in the last tenth of the pairs, of mean_loss where the run tells it;
  /// of those that are numbers, NaN if none is.
  double loss = 0;
  double pairs_per_second = 0;  ///< median of the records; NaN if there is none
  int64_t skipped = 0, bad_samples = 0;
  std::vector<Validation> validation;  ///< by name
};

/// Of a run without any record all is 0 or NaN.
Summary summary_of(const History&);

}  // namespace diptych::curves
