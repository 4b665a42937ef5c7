// data/image/write.cpp — PNG through libpng's simplified interface.
#include <png.h>

#include "data/image/transform.h"
#include "tensor/io/file.h"

namespace diptych {

std::string encode_png(const RgbImage& image) {
  check(image.width > 0 && image.height > 0 && image.width <= 16384 && image.height <= 16384 &&
            static_cast<int64_t>(image.rgb.size()) == 3 * image.width * image.height,
        "encode_png: ", image.width, " x ", image.height, " pixels with ", image.rgb.size(),
        " bytes");
  png_image header{};
  header.version = PNG_IMAGE_VERSION;
  header.width = static_cast<png_uint_32>(image.width);
  header.height = static_cast<png_uint_32>(image.height);
  header.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(header);
  std::string bytes(size, '\0');
  const int ok =
      png_image_write_to_memory(&header, bytes.data(), &size, 0, image.rgb.data(), 0, nullptr);
  check(ok != 0, "encode_png: ", header.message);
  bytes.resize(size);
  return bytes;
}

void save_png(const std::string& path, const RgbImage& image) {
  write_file_atomically(path, encode_png(image));
}

}  // namespace diptych
