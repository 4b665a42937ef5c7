// data/folder.h — a folder of pictures, each with a text file of the same name.
#pragma once

#include <string>
#include <vector>

#include "data/pairs.h"

namespace diptych {

/// The .png, .jpg and .jpeg files in all folders below `path`, in the order of their paths. Links
/// to folders are not followed. Throws Error if a folder cannot be listed.
std::vector<std::string> picture_files(const std::string& path);

/// NAME.png, NAME.jpg or NAME.jpeg with NAME.txt beside it, in all folders below `path`, in the
/// order of their paths. Pictures without a text are listed as skipped. Throws Error if no pair is
/// found.
PairList read_pair_folder(const std::string& path);

/// Paths of all PNG and JPEG files (by extension) below a folder, sorted. Throws Error if it cannot
/// be listed.
std::vector<std::string> picture_files(const std::string& folder);

}  // namespace diptych
