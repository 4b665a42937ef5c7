// clip/data_source.h — training and evaluation data by name: "fashion", a table, a folder.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/pairs.h"
#include "data/text/texts.h"

namespace diptych {

/// Where each sample comes from: Dataset::name_of in its order. As long as the dataset lives.
Texts names_of(const Dataset&);

struct DataSource {
  std::unique_ptr<Dataset> dataset;
  /// To train a vocabulary on: every caption, or all there can be. As long as `dataset` lives.
  Texts captions;
  /// Where each pair's picture is, as the source gives it: the paths of a table, or those below a
  /// folder. They are the same after the whole has moved. As long as `dataset` lives.
  Texts pictures;
  /// Where the pictures are files: their paths from here. Undefined for others.
  Texts files = {};
  std::vector<LeftOut> left_out;    ///< pictures and texts that make no pair
  std::vector<std::string> others;  ///< files that are neither
};

/// "fashion" is tinted Fashion-MNIST's training split; anything else a .tsv or .csv table or a
/// folder.
DataSource open_training_data(const std::string& spec, const PairOptions&, const Preprocess&,
                              const ImageLimits&, uint64_t seed);

/// A dataset with labels: pictures to classify by the names of their classes.
struct LabelledSource {
  std::unique_ptr<Dataset> dataset;
  std::vector<std::string> class_names;    ///< at the labels of the dataset
  std::vector<std::string> empty_classes;  ///< names of which there is no picture
  std::vector<LeftOut> left_out;           ///< pictures that are no part of it
  std::vector<std::string> others;         ///< files that are none
};

/// A folder with one sub-folder of pictures per class, named as the class.
LabelledSource open_class_folders(const std::string& folder, const Preprocess&,
                                  const ImageLimits& = {});

}  // namespace diptych
