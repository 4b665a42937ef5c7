// data/picture_files.h — the pictures below a folder, and what else lies there.
#pragma once

#include <string>
#include <vector>

#include "data/left_out.h"

namespace diptych {

/// What lies below a folder, each list in the order of paths. A file is in exactly one of them.
struct PictureFiles {
  std::vector<std::string> pictures;  ///< regular files named .png, .jpg, .webp, …
  /// Pictures by their names of a type that is not read; pictures that are no regular files, such
  /// as pipes and broken links; links to folders, which are not followed.
  std::vector<LeftOut> left_out;
  /// No pictures by their names; what is hidden, a whole folder of which is one of these.
  std::vector<std::string> others;
};

/// Whether a name is one of a picture, of a type that is read or not.
bool is_picture_name(const std::string& path);

/// Whether the last part of a path begins with a dot: .ipynb_checkpoints, .DS_Store, ._photo.jpg.
bool is_hidden(const std::string& path);

/// Looks into all folders below `path` that are not hidden. Throws Error if one cannot be listed.
PictureFiles picture_files(const std::string& path);

}  // namespace diptych
