// tests/pictures.h — pictures and picture files for tests: noise, hand-made PNGs, golden files.
#pragma once

#include <string>
#include <vector>

#include "data/image/transform.h"

namespace diptych::test {

RgbImage noise(int64_t width, int64_t height, uint64_t seed);

uint32_t crc32_of(const void* data, size_t bytes);
std::string big_endian(uint32_t value);

std::string png_chunk(const std::string& type_and_data);
/// Signature and header of an 8-bit RGB picture.
std::string png_header(uint32_t width, uint32_t height);

/// Reads the golden files of tests/golden/make_image.py and make_formats.py.
class GoldenReader {
 public:
  explicit GoldenReader(const std::string& name);
  uint32_t number();
  std::string take(int64_t count);
  std::string take_sized() { return take(number()); }
  bool at_end() const { return pos_ == bytes_.size(); }

 private:
  std::string bytes_;
  size_t pos_ = 0;
};

/// A file and what Pillow makes of it.
struct GoldenPicture {
  std::string name, bytes;
  Preprocess how;
  uint32_t whole_crc, view_crc;  ///< of RGB bytes: the picture, and its square view
};

const std::vector<GoldenPicture>& golden_pictures();  ///< PNG and JPEG
const std::vector<GoldenPicture>& golden_formats();   ///< the other formats
/// The golden file of that name, a PNG or JPEG.
const std::string& golden_file(const std::string& name);

}  // namespace diptych::test
