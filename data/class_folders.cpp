// data/class_folders.cpp — pictures sorted into one folder per class.
#include "data/class_folders.h"

#include <algorithm>
#include <filesystem>

#include "data/picture_files.h"

namespace diptych {

namespace fs = std::filesystem;

ClassFolders::ClassFolders(const std::string& folder, const Preprocess& preprocess,
                           const ImageLimits& limits)
    : preprocess_(preprocess), limits_(limits) {
  check(fs::is_directory(folder), "classes: '", folder, "' is not a folder");
  std::vector<fs::path> classes;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_directory()) classes.push_back(entry.path());
  }
  std::sort(classes.begin(), classes.end());
  check(classes.size() >= 2, "classes: '", folder,
        "' needs a sub-folder for each of at least two classes");
  for (size_t label = 0; label < classes.size(); ++label) {
    class_names_.push_back(classes[label].filename());
    const size_t before = files_.size();
    for (const std::string& path : picture_files(classes[label]))
      files_.push_back({path, static_cast<int64_t>(label)});
    check(files_.size() > before, "classes: no PNG or JPEG below '", classes[label].string(), "'");
  }
}

Example ClassFolders::get(int64_t index, int64_t /*epoch*/) const {
  const File& file = files_.at(static_cast<size_t>(index));
  return {preprocess(load_picture(file.path, limits_), preprocess_),
          class_names_[static_cast<size_t>(file.label)], file.label};
}

}  // namespace diptych
