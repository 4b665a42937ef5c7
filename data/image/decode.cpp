// data/image/decode.cpp — which decoder gets a file, and what no decoder gets to see.
#include "data/image/format.h"
#include "data/image/picture_file.h"
#include "tensor/io/file.h"

namespace diptych {

void PictureFile::require_size(int64_t width, int64_t height) const {
  constexpr int64_t kMaxSide = 16384;
  require(width > 0 && height > 0, "has no pixels: ", width, " x ", height);
  require(width <= kMaxSide && height <= kMaxSide, width, " x ", height,
          " pixels; no side may be longer than ", kMaxSide);
  require(width * height <= limits.max_pixels, "too many pixels: ", width, " x ", height,
          ", the limit is ", limits.max_pixels);
}

Picture decode_picture(std::string_view bytes, const std::string& name, const ImageLimits& limits) {
  const PictureFile file{bytes, name, limits};
  file.require(!bytes.empty(), "empty file");
  file.require(static_cast<int64_t>(bytes.size()) <= limits.max_bytes, bytes.size(),
               " bytes, the limit is ", limits.max_bytes);
  const FileKind kind = kind_of(bytes);
  if (kind == FileKind::png) return decode_png(file);
  file.require(kind == FileKind::jpeg, "not a JPEG or PNG picture", describe(kind));
  return decode_jpeg(file);
}

Picture load_picture(const std::string& path, const ImageLimits& limits) {
  return decode_picture(read_file(path, limits.max_bytes), path, limits);
}

}  // namespace diptych
