// data/picture_files.h — the pictures below a folder, and what else lies there.
#pragma once

#include <string>
#include <vector>

#include "data/left_out.h"

namespace diptych {

/// What lies below a folder, each list in the order of paths. A file is in exactly one of them.
struct PictureFiles {
  std::vector<std::string> pictures;  ///< regular .png, .jpg and .jpeg files
  /// Pictures by their names of a type that is not read; pictures that are no regular files, such
  /// as pipes and broken links; links to folders, which are not followed.
  std::vector<LeftOut> left_out;
  std::vector<std::string> others;  ///< no pictures by their names
};

/// Whether a name is one of a picture, of a type that is read or not.
bool is_picture_name(const std::string& path);

/// Looks into all folders below `path`. Throws Error if one cannot be listed.
PictureFiles picture_files(const std::string& path);

}  // namespace diptych
