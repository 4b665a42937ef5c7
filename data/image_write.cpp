// data/image_write.cpp — PNG through stb_image_write.
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

#include "data/image.h"
#include "tensor/file.h"

namespace diptych {

std::string encode_png(const Image& image) {
  check(image.width > 0 && image.height > 0 && image.width <= 16384 && image.height <= 16384 &&
            static_cast<int64_t>(image.rgb.size()) == 3 * image.width * image.height,
        "encode_png: ", image.width, " x ", image.height, " pixels with ", image.rgb.size(),
        " bytes");
  std::string bytes;
  const auto append = [](void* out, void* data, int size) {
    static_cast<std::string*>(out)->append(static_cast<char*>(data), static_cast<size_t>(size));
  };
  const int ok = stbi_write_png_to_func(append, &bytes, static_cast<int>(image.width),
                                        static_cast<int>(image.height), 3, image.rgb.data(), 0);
  check(ok != 0, "encode_png: out of memory");
  return bytes;
}

void save_png(const std::string& path, const Image& image) {
  write_file_atomically(path, encode_png(image));
}

}  // namespace diptych
