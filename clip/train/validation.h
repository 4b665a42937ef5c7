// clip/train/validation.h — whether a model learns: loss, retrieval and accuracy on held-out pairs.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "clip/data_source.h"
#include "clip/eval/accuracy.h"
#include "clip/eval/retrieval.h"
#include "clip/loss.h"
#include "clip/model.h"
#include "data/text/tokenizer.h"

namespace diptych {

/// What there is to validate on: pairs, labelled pictures, or both.
struct ValidationData {
  std::string spec;
  std::unique_ptr<Dataset> dataset;
  bool has_captions = true;                     ///< else there are classes alone
  std::vector<std::string> class_names;         ///< of labels; empty without
  std::vector<std::string> templates;           ///< sentences for them
  std::vector<LeftOut> left_out;                ///< what makes no pair, or is no picture
  Texts pictures = {};                          ///< where each is; as long as `dataset` lives
  std::vector<std::string> empty_classes = {};  ///< names of which there is no picture
};

/// "fashion" is tinted Fashion-MNIST's validation split, with captions and classes; else a table
/// or folder of pairs, or a folder with one sub-folder of pictures per class. Throws Error if it is
/// neither.
ValidationData open_validation_data(const std::string& spec, const PairOptions&, const Preprocess&,
                                    const ImageLimits&);

/// Pairs alone.
ValidationData open_validation_pairs(const std::string& spec, const PairOptions&, const Preprocess&,
                                     const ImageLimits&);

/// Throws Error, naming the first, if more of its pictures are not there than the fraction: before
/// hours of training rather than after.
void check_pictures_there(const ValidationData&, double max_bad_fraction);

/// How many of its pictures are files that stand in the other list as well, as the same file or
/// with the same content.
int64_t shared_files(const Texts& pictures, const Texts& others);

/// What a model makes of it.
struct ValidationResult {
  int64_t pictures = 0, truncated = 0;
  std::vector<LeftOut> left_out;  ///< what makes no pair, is no picture, or cannot be read
  std::optional<double> loss;     ///< contrastive, mean over batches weighted by their pairs
  std::optional<Recall> image_to_text, text_to_image;
  std::optional<Accuracy> accuracy;

  /// What the best checkpoint is chosen by: accuracy where there are classes, else the mean of both
  /// R@1.
  double score() const;
  std::string score_name() const;
  std::string to_json() const;  ///< {"loss": …, "image_to_text_R@1": …}: open_clip's names
  std::string to_line() const;
};

struct ValidationOptions {
  int64_t batch_size = 64;  ///< pairs that the loss sees at once: that of training
  int workers = 1;
  double max_bad_fraction = 0.01;
  Positives positives = Positives::none;  ///< of the loss: that of training
  int64_t chunk = 0;                      ///< pairs that the towers see at once; 0: the batch
  std::function<void(int64_t done)> progress = {};  ///< told how many pictures are encoded
};

/// Every picture once, in order, as evaluation sees it; the model is in training or not as before.
/// Throws Error, naming the first, if more pictures than the fraction cannot be read, or if a
/// feature is not finite.
ValidationResult validate(Clip&, const Tokenizer&, const ValidationData&, const ValidationOptions&);

}  // namespace diptych
