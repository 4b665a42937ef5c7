// data/image/picture_file.h — a picture file under examination, and the decoders of all formats.
#pragma once

#include "data/image/picture.h"
#include "tensor/types.h"

namespace diptych {

/// The bytes of a file and how to complain about them: Error, starting with the file's name.
struct PictureFile {
  std::string_view bytes;
  const std::string& name;
  const ImageLimits& limits;

  template <class... Args>
  void require(bool ok, const Args&... reason) const {
    if (!ok) fail("image: '", name, "': ", reason...);
  }
  /// Throws Error unless a picture of this size is within the limits.
  void require_size(int64_t width, int64_t height) const;
  /// `reason` is the decoder's.
  [[noreturn]] void refuse(const char* reason) const {
    fail("image: '", name, "': damaged or not supported: ", reason);
  }
};

Picture decode_png(const PictureFile&);
Picture decode_jpeg(const PictureFile&);
Picture decode_webp(const PictureFile&);
Picture decode_gif(const PictureFile&);
Picture decode_bmp(const PictureFile&);
Picture decode_pnm(const PictureFile&);
Picture decode_tga(const PictureFile&);

/// Whether bytes begin with a sound header of TGA, which has no mark to know it by.
bool is_tga(std::string_view bytes);

}  // namespace diptych
