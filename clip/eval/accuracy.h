// clip/eval/accuracy.h — what a dataset was taken for, and how often that was right.
#pragma once

#include <functional>
#include <vector>

#include "clip/model.h"
#include "data/left_out.h"
#include "data/loader.h"

namespace diptych {

/// What the pictures of a dataset were taken for.
struct Predictions {
  std::vector<int64_t> indices;  ///< of the dataset, per row: what is left out has none
  std::vector<int64_t> labels;   ///< the truth
  std::vector<std::vector<int64_t>>
      ranked;                     ///< the five best classes (fewer if there are fewer), best first
  std::vector<LeftOut> left_out;  ///< what could not be read
};
/// The five best of each row of logits or cosines (N, K), f32; ties go to the smaller class.
Predictions rank_classes(const Tensor& logits, const std::vector<int64_t>& labels);
/// Of every picture of the loader's dataset: it has a prediction or is left out.
Predictions classify_dataset(const Clip&, const Tensor& head, Loader&,
                             const std::function<void(int64_t done)>& progress = {});

struct Accuracy {
  double acc1 = 0, acc5 = 0, mean_per_class_recall = 0;
  int64_t pictures = 0;
};
/// Over the pictures whose label `include`s.
Accuracy accuracy(const Predictions&, const std::function<bool(int64_t label)>& include);

/// The same of each class, 0 … classes - 1; one without pictures has zeros.
std::vector<Accuracy> accuracy_by_class(const Predictions&, int64_t classes);

/// How many pictures of a class were first of all taken for another.
struct Confusion {
  int64_t label = 0, taken_for = 0, pictures = 0;
};
/// All pairs that occurred, the most frequent first, equals by (label, taken_for).
std::vector<Confusion> confusions(const Predictions&);

}  // namespace diptych
