// data/class_folders.cpp — pictures sorted into one folder per class.
#include "data/class_folders.h"

#include <algorithm>
#include <filesystem>

#include "data/picture_files.h"
#include "tensor/io/file.h"

namespace diptych {

namespace fs = std::filesystem;

ClassFolders::ClassFolders(const std::string& folder, const Preprocess& preprocess,
                           const ImageLimits& limits)
    : preprocess_(preprocess), limits_(limits) {
  check(is_folder(folder), "classes: '", folder, "' is not a folder");
  std::vector<std::string> classes, loose;
  for (const auto& entry : fs::directory_iterator(folder)) {
    std::error_code none;
    const bool is_class = entry.is_directory(none) && !is_hidden(entry.path());
    (is_class ? classes : loose).push_back(entry.path());
  }
  std::sort(classes.begin(), classes.end());
  check(classes.size() >= 2, "classes: '", folder,
        "' needs a sub-folder for each of at least two classes");
  for (const std::string& one : classes) add_class(one);
  std::sort(loose.begin(), loose.end());
  for (const std::string& file : loose) {
    if (is_hidden(file))
      others_.push_back(file);
    else if (is_picture_name(file))
      left_out_.push_back({file, "lies in no class folder"});
    else if (!is_file(file))
      left_out_.push_back({file, "is neither a folder nor a file; a link that leads nowhere?"});
    else
      others_.push_back(file);
  }
  check(!files_.empty(), "classes: no ", kPictureFormats, " picture below a sub-folder of '",
        folder, "'", left_out_.empty() ? "" : "; left out: " + naming(left_out_));
}

void ClassFolders::add_class(const std::string& folder) {
  const auto label = static_cast<int64_t>(class_names_.size());
  PictureFiles found = picture_files(folder);
  class_names_.push_back(fs::path(folder).filename());
  if (found.pictures.empty()) empty_classes_.push_back(class_names_.back());
  for (std::string& path : found.pictures) files_.push_back({std::move(path), label});
  left_out_.insert(left_out_.end(), found.left_out.begin(), found.left_out.end());
  others_.insert(others_.end(), found.others.begin(), found.others.end());
}

Example ClassFolders::get(int64_t index, int64_t /*epoch*/) const {
  const File& file = files_.at(static_cast<size_t>(index));
  return {evaluation_bytes(load_picture(file.path, limits_), preprocess_),
          class_names_[static_cast<size_t>(file.label)], file.label};
}

}  // namespace diptych
