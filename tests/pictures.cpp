// tests/pictures.cpp — noise, hand-made PNGs and golden pictures.
#include "tests/pictures.h"

#include <zlib.h>

#include <cstring>

#include "tensor/io/file.h"

namespace diptych::test {
namespace {

std::vector<GoldenPicture> read_golden_pictures(const std::string& name) {
  GoldenReader golden(name);
  std::vector<GoldenPicture> out(golden.number());
  for (GoldenPicture& p : out) {
    p.name = golden.take_sized();
    p.bytes = golden.take_sized();
    p.how.resize_mode = static_cast<ResizeMode>(golden.number());
    p.how.size = golden.number();
    p.whole_crc = golden.number();
    p.view_crc = golden.number();
  }
  check(golden.at_end(), "test: ", name, " is longer than its pictures");
  return out;
}

}  // namespace

RgbImage noise(int64_t width, int64_t height, uint64_t seed) {
  PhiloxStream random(seed, 0);
  RgbImage image{width, height, std::vector<uint8_t>(static_cast<size_t>(3 * width * height))};
  for (uint8_t& v : image.rgb) v = static_cast<uint8_t>(random.below(256));
  return image;
}

uint32_t crc32_of(const void* data, size_t bytes) {
  return static_cast<uint32_t>(crc32(0, static_cast<const Bytef*>(data), static_cast<uInt>(bytes)));
}

std::string big_endian(uint32_t value) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
  return out;
}

std::string png_chunk(const std::string& type_and_data) {
  return big_endian(static_cast<uint32_t>(type_and_data.size() - 4)) + type_and_data +
         big_endian(crc32_of(type_and_data.data(), type_and_data.size()));
}

std::string png_header(uint32_t width, uint32_t height) {
  return "\x89PNG\r\n\x1A\n" + png_chunk("IHDR" + big_endian(width) + big_endian(height) +
                                         std::string("\x08\x02\0\0\0", 5));
}

GoldenReader::GoldenReader(const std::string& name)
    : bytes_(read_file("tests/golden/" + name, 1 << 20)) {}

uint32_t GoldenReader::number() {
  uint32_t value;
  std::memcpy(&value, take(4).data(), 4);
  return value;
}

std::string GoldenReader::take(int64_t count) {
  pos_ += static_cast<size_t>(count);
  check(pos_ <= bytes_.size(), "test: a golden file is cut short");
  return bytes_.substr(pos_ - static_cast<size_t>(count), static_cast<size_t>(count));
}

const std::vector<GoldenPicture>& golden_pictures() {
  static const std::vector<GoldenPicture> pictures = read_golden_pictures("pictures.bin");
  return pictures;
}

const std::vector<GoldenPicture>& golden_formats() {
  static const std::vector<GoldenPicture> pictures = read_golden_pictures("formats.bin");
  return pictures;
}

const std::string& golden_file(const std::string& name) {
  for (const GoldenPicture& p : golden_pictures())
    if (p.name == name) return p.bytes;
  fail("test: no golden picture '", name, "'");
}

}  // namespace diptych::test
