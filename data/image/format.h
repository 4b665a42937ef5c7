// data/image/format.h — what kind of file some bytes are, judged by how they begin.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace diptych {

enum class FileKind : uint8_t {
  png,
  jpeg,
  gif,
  webp,
  bmp,
  pnm,
  tiff,
  avif,
  heic,
  jpeg_xl,
  jpeg_2000,
  photoshop,
  svg,
  html,
  pdf,
  gzip,
  zip,
  icon,
  float_map,
  unknown
};

FileKind kind_of(std::string_view bytes);
/// " (it looks like TIFF; convert it first)", or of an unknown kind its first bytes.
std::string describe(FileKind, std::string_view bytes);

}  // namespace diptych
