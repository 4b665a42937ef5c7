// data/picture_files.cpp — finding pictures below a folder.
#include "data/picture_files.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>

#include "tensor/types.h"

namespace diptych {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 11> kRead = {
    ".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".pbm", ".pgm", ".ppm", ".pnm", ".tga"};
constexpr std::array<std::string_view, 31> kKnown = {
    ".apng", ".arw",  ".avif", ".cr2",  ".cr3", ".dds", ".dib",  ".dng",  ".eps", ".exr", ".fits",
    ".hdr",  ".heic", ".heif", ".icns", ".ico", ".j2k", ".jfif", ".jp2",  ".jpe", ".jpf", ".jpx",
    ".jxl",  ".nef",  ".orf",  ".pcx",  ".psd", ".svg", ".tif",  ".tiff", ".xbm"};

template <size_t N>
bool among(const std::array<std::string_view, N>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string extension_of(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return extension;
}

// Why a picture by its name is none that can be opened; empty if it can.
std::string fault_of(const fs::directory_entry& entry, const std::string& extension) {
  std::error_code failed;
  const fs::file_status status = entry.status(failed);  // of what a link leads to
  if (status.type() == fs::file_type::not_found) return "a link that leads nowhere";
  if (failed) return failed.message();
  if (status.type() != fs::file_type::regular) return "is not a regular file";
  if (!among(kRead, extension)) return extension + " is not read; convert it to PNG or JPEG";
  return {};
}

bool is_link_to_folder(const fs::directory_entry& entry) {
  std::error_code none;
  return entry.is_symlink(none) && entry.is_directory(none);
}

void sort_in(const fs::directory_entry& entry, PictureFiles& found) {
  const std::string path = entry.path(), extension = extension_of(entry.path());
  if (is_link_to_folder(entry) && !is_hidden(path)) {
    found.left_out.push_back({path, "a link to a folder; links are not followed"});
  } else if (is_hidden(path) || !is_picture_name(path)) {
    found.others.push_back(path);
  } else if (const std::string fault = fault_of(entry, extension); !fault.empty()) {
    found.left_out.push_back({path, fault});
  } else {
    found.pictures.push_back(path);
  }
}

}  // namespace

bool is_picture_name(const std::string& path) {
  const std::string extension = extension_of(path);
  return among(kRead, extension) || among(kKnown, extension);
}

bool is_hidden(const std::string& path) {
  return fs::path(path).filename().string().starts_with('.');
}

PictureFiles picture_files(const std::string& path) {
  std::vector<fs::directory_entry> entries;
  try {
    for (fs::recursive_directory_iterator at(path), end; at != end; ++at) {
      const bool folder = at->symlink_status().type() == fs::file_type::directory;
      const bool hidden = is_hidden(at->path());
      if (folder && hidden) at.disable_recursion_pending();
      if (!folder || hidden) entries.push_back(*at);
    }
  } catch (const fs::filesystem_error& error) {
    fail("pictures: cannot list '", path, "': ", error.code().message());
  }
  std::sort(entries.begin(), entries.end());
  PictureFiles found;
  for (const fs::directory_entry& entry : entries) sort_in(entry, found);
  return found;
}

}  // namespace diptych
