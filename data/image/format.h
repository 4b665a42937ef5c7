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
  unknown
};

FileKind kind_of(std::string_view bytes);
/// " (it looks like WebP; convert it first)", or nothing for an unknown kind.
std::string describe(FileKind);

}  // namespace diptych
