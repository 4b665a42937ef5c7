// clip/cli/eval.h — what the kinds of data of `diptych eval` have in common.
#pragma once

#include <string>
#include <vector>

#include "clip/cli/command.h"
#include "clip/eval/accuracy.h"
#include "data/dataset.h"
#include "data/pairs.h"

namespace diptych::cli {

struct EvalFlags : ModelFlags {
  PairOptions columns;
  ImageLimits limits;
  std::string data, task, split, templates, separator = "\t", report, labels_file;
  int64_t batch_size = 250;
  double max_bad_fraction = 0.01;
  int workers = 1;
  bool json = false, truncate = false;
};

/// The zero-shot head of classes, kept in a file where the model has a place for it.
Tensor head_of(const EvalFlags&, const LoadedModel&, const std::vector<std::string>& names,
               const std::vector<std::string>& templates);
/// What each picture was taken for, with a bar on the way.
Predictions predict(const EvalFlags&, const LoadedModel&, const Dataset&, const Tensor& head);
/// Of the pictures that were to be classified, and those that were none. Throws Error if too many
/// were not used.
Accounting account_for(const EvalFlags&, const Predictions&, const std::vector<LeftOut>& elsewhere,
                       int64_t listed);

/// CLIP_benchmark's record of a result. Json is nlohmann's.
template <class Json>
Json result(const EvalFlags& flags, const std::string& dataset, const Accuracy& a) {
  check(a.pictures > 0, "eval: there is no picture for ", dataset);
  const Json metrics{
      {"acc1", a.acc1}, {"acc5", a.acc5}, {"mean_per_class_recall", a.mean_per_class_recall}};
  return {{"dataset", dataset}, {"model", flags.model},
          {"pretrained", ""},   {"task", "zeroshot_classification"},
          {"metrics", metrics}, {"pictures", a.pictures},
          {"language", "en"}};
}

/// The heads of a table, and a row of it.
void print_heads(const std::string& what);
void print_row(const std::string& what, const Accuracy&);

/// Whether the data are pairs: a table, or a folder with captions beside pictures.
bool holds_pairs(const EvalFlags&);
/// `diptych eval` on those.
int eval_pairs(const EvalFlags&, LoadedModel&);
/// `diptych eval` on a folder with one sub-folder per class.
int eval_folders(const EvalFlags&, const LoadedModel&);

}  // namespace diptych::cli
