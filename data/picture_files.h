// data/picture_files.h — the pictures below a folder.
#pragma once

#include <string>
#include <vector>

namespace diptych {

/// The .png, .jpg and .jpeg files in all folders below `path`, in the order of their paths. Links
/// to folders are not followed. Throws Error if a folder cannot be listed.
std::vector<std::string> picture_files(const std::string& path);

}  // namespace diptych
