// data/picture_files.cpp — finding pictures below a folder.
#include "data/picture_files.h"

#include <algorithm>
#include <filesystem>

#include "tensor/types.h"

namespace diptych {
namespace {

namespace fs = std::filesystem;

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

}  // namespace diptych
