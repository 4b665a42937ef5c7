// data/class_folders.h — pictures sorted into one folder per class, as ImageNet is kept.
#pragma once

#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/image/transform.h"
#include "data/picture_files.h"

namespace diptych {

/// Every picture of a type that is read, by its name, below <folder>/<class name>/, classes and
/// files in sorted order; label = position of the class; the caption is its name.
class ClassFolders : public Dataset {
 public:
  /// Throws Error unless there are at least two folders of classes and a picture in one.
  ClassFolders(const std::string& folder, const Preprocess&, const ImageLimits& = {});

  int64_t size() const override { return static_cast<int64_t>(files_.size()); }
  Example get(int64_t index, int64_t epoch) const override;
  std::string name_of(int64_t index) const override {
    return files_.at(static_cast<size_t>(index)).path;
  }
  const std::vector<std::string>& class_names() const { return class_names_; }
  /// Those of them that have no picture. They keep their labels: a picture can be taken for one.
  const std::vector<std::string>& empty_classes() const { return empty_classes_; }
  /// Pictures that are no part of it: those of picture_files(), and those outside class folders.
  const std::vector<LeftOut>& left_out() const { return left_out_; }
  const std::vector<std::string>& others() const { return others_; }  ///< no pictures

 private:
  void add_class(const std::string& folder);

  struct File {
    std::string path;
    int64_t label;
  };
  std::vector<std::string> class_names_, empty_classes_;
  std::vector<File> files_;
  std::vector<LeftOut> left_out_;
  std::vector<std::string> others_;
  Preprocess preprocess_;
  ImageLimits limits_;
};

}  // namespace diptych
