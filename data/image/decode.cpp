// data/image/decode.cpp — which decoder gets a file, and what no decoder gets to see.
#include "data/image/format.h"
#include "data/image/picture_file.h"
#include "tensor/io/file.h"

namespace diptych {

void PictureFile::require_size(int64_t width, int64_t height) const {
  constexpr int64_t kMaxSide = 1'000'000;  // libpng's; scaled, a thin picture grows by far more
  require(width > 0 && height > 0, "has no pixels: ", width, " x ", height);
  require(width <= kMaxSide && height <= kMaxSide, width, " x ", height,
          " pixels; no side may be longer than ", kMaxSide);
  require(width * height <= limits.max_pixels, "too many pixels: ", width, " x ", height,
          ", the limit is ", limits.max_pixels, "; --max-image-pixels sets another");
}

namespace {

Picture decode(FileKind kind, const PictureFile& file) {
  switch (kind) {
    case FileKind::png:
      return decode_png(file);
    case FileKind::jpeg:
      return decode_jpeg(file);
    case FileKind::webp:
      return decode_webp(file);
    case FileKind::gif:
      return decode_gif(file);
    case FileKind::bmp:
      return decode_bmp(file);
    case FileKind::pnm:
      return decode_pnm(file);
    default:
      file.require(kind == FileKind::unknown && is_tga(file.bytes), "not a ", kPictureFormats,
                   " picture", describe(kind, file.bytes));
      return decode_tga(file);
  }
}

}  // namespace

Picture decode_picture(std::string_view bytes, const std::string& name, const ImageLimits& limits) {
  const PictureFile file{bytes, name, limits};
  file.require(!bytes.empty(), "empty file");
  file.require(static_cast<int64_t>(bytes.size()) <= limits.max_bytes(), bytes.size(),
               " bytes, the limit is ", limits.max_bytes());
  return decode(kind_of(bytes), file);
}

Picture load_picture(const std::string& path, const ImageLimits& limits) {
  return decode_picture(read_file(path, limits.max_bytes()), path, limits);
}

}  // namespace diptych
