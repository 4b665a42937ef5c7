// data/folder.cpp — finding pictures and their texts below a folder.
#include "data/folder.h"

#include <algorithm>
#include <filesystem>

#include "tensor/file.h"

namespace diptych {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxCaptionBytes = int64_t{1} << 20;

bool is_picture(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return extension == ".png" || extension == ".jpg" || extension == ".jpeg";
}

}  // namespace

std::vector<std::string> picture_files(const std::string& path) {
  std::vector<fs::path> found;
  try {
    for (const auto& entry : fs::recursive_directory_iterator(path))
      if (entry.is_regular_file() && is_picture(entry.path())) found.push_back(entry.path());
  } catch (const fs::filesystem_error& error) {
    fail("pairs: cannot list '", path, "': ", error.code().message());
  }
  std::sort(found.begin(), found.end());
  return {found.begin(), found.end()};
}

PairList read_pair_folder(const std::string& path) {
  PairList list;
  for (const std::string& picture : picture_files(path)) {
    const std::string text = fs::path(picture).replace_extension(".txt").string();
    if (fs::is_regular_file(text)) {
      list.pairs.push_back({picture, read_file(text, kMaxCaptionBytes)});
    } else {
      list.skipped.push_back(picture);
    }
  }
  check(!list.pairs.empty(), "pairs: no NAME.png, .jpg or .jpeg with a NAME.txt below '", path,
        "' (pictures without a text: ", list.skipped.size(), ")");
  return list;
}

}  // namespace diptych
