// tests/test_image.cpp — decoding good and hostile pictures; resize and crops against Pillow.
#include <doctest/doctest.h>
#include <zlib.h>

#include <cmath>
#include <cstring>

#include "data/image.h"
#include "tensor/file.h"
#include "tests/files.h"

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

using namespace diptych;
using namespace diptych::test;

namespace {

Image noise(int64_t width, int64_t height, uint64_t seed) {
  PhiloxStream random(seed, 0);
  Image image{width, height, std::vector<uint8_t>(static_cast<size_t>(3 * width * height))};
  for (uint8_t& v : image.rgb) v = static_cast<uint8_t>(random.below(256));
  return image;
}

std::string encode_jpeg(const Image& image, int quality) {
  std::string bytes;
  const auto append = [](void* out, void* data, int size) {
    static_cast<std::string*>(out)->append(static_cast<char*>(data), static_cast<size_t>(size));
  };
  stbi_write_jpg_to_func(append, &bytes, static_cast<int>(image.width),
                         static_cast<int>(image.height), 3, image.rgb.data(), quality);
  return bytes;
}

// The message with which decoding refuses these bytes; empty if it accepts them.
std::string refusal(const std::string& bytes, const ImageLimits& limits = {}) {
  return error_of([&] { decode_image(bytes, "x", limits); });
}

std::string big_endian(uint32_t value) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
  return out;
}

std::string png_chunk(const std::string& type_and_data) {
  const auto crc = crc32(0, reinterpret_cast<const Bytef*>(type_and_data.data()),
                         static_cast<uInt>(type_and_data.size()));
  return big_endian(static_cast<uint32_t>(type_and_data.size() - 4)) + type_and_data +
         big_endian(static_cast<uint32_t>(crc));
}

std::string png_header(uint32_t width, uint32_t height) {
  return "\x89PNG\r\n\x1A\n" + png_chunk("IHDR" + big_endian(width) + big_endian(height) +
                                         std::string("\x08\x02\0\0\0", 5));
}

// Reads the golden files of tests/golden/make_image.py.
class GoldenReader {
 public:
  explicit GoldenReader(const std::string& name)
      : bytes_(read_file(std::string("tests/golden/") + name, 1 << 20)) {}
  int64_t number() {
    uint32_t value;
    std::memcpy(&value, take(4).data(), 4);
    return value;
  }
  std::string take(int64_t count) {
    pos_ += static_cast<size_t>(count);
    REQUIRE(pos_ <= bytes_.size());
    return bytes_.substr(pos_ - static_cast<size_t>(count), static_cast<size_t>(count));
  }
  Image image(int64_t width, int64_t height) {
    const std::string rgb = take(3 * width * height);
    return {width, height, {rgb.begin(), rgb.end()}};
  }
  bool at_end() const { return pos_ == bytes_.size(); }

 private:
  std::string bytes_;
  size_t pos_ = 0;
};

int largest_difference(const Image& a, const Image& b) {
  int largest = 0;
  for (size_t i = 0; i < a.rgb.size(); ++i)
    largest = std::max(largest, std::abs(int{a.rgb[i]} - int{b.rgb[i]}));
  return largest;
}

}  // namespace

TEST_CASE("image: a PNG comes back as it was written") {
  const Image image = noise(16, 12, 1);
  const Image back = decode_image(encode_png(image), "x");
  CHECK(back.width == 16);
  CHECK(back.height == 12);
  CHECK(back.rgb == image.rgb);
}

TEST_CASE("image: every kind of PNG and JPEG decodes to Pillow's pixels") {
  GoldenReader golden("pictures.bin");
  for (int64_t files = golden.number(); files > 0; --files) {
    CAPTURE(files);
    const int64_t width = golden.number(), height = golden.number(), tolerance = golden.number();
    const int64_t size = golden.number();
    const Image image = decode_image(golden.take(size), "x");
    const Image expected = golden.image(width, height);
    REQUIRE(image.width == width);
    REQUIRE(image.height == height);
    CHECK(largest_difference(image, expected) <= tolerance);
  }
  CHECK(golden.at_end());
}

TEST_CASE("image: a PNG cut at any length is refused") {
  const std::string whole = encode_png(noise(16, 12, 2));
  for (size_t n = 0; n < whole.size(); ++n) REQUIRE(refusal(whole.substr(0, n)) != "");
  CHECK(refusal(whole) == "");
  CHECK(refusal(whole.substr(0, whole.size() - 12)) == "image: 'x': truncated (no IEND chunk)");
}

TEST_CASE("image: a JPEG cut at any length is refused") {
  const std::string whole = encode_jpeg(noise(24, 16, 3), 80);
  for (size_t n = 0; n < whole.size(); ++n) REQUIRE(refusal(whole.substr(0, n)) != "");
  CHECK(refusal(whole) == "");
  CHECK(contains(refusal(whole.substr(0, whole.size() - 2)), "no end-of-image marker"));
}

TEST_CASE("image: a PNG with any bit flipped is refused") {
  const std::string whole = encode_png(noise(8, 6, 4));
  for (size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::string damaged = whole;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    CAPTURE(bit);
    REQUIRE(refusal(damaged) != "");
  }
}

TEST_CASE("image: damaged JPEGs are decoded or refused, never more") {
  const std::string whole = encode_jpeg(noise(24, 16, 5), 50);
  PhiloxStream random(6, 0);
  for (int trial = 0; trial < 500; ++trial) {
    std::string damaged = whole;
    for (int64_t change = random.below(8); change >= 0; --change)
      damaged[static_cast<size_t>(random.below(static_cast<int64_t>(damaged.size())))] =
          static_cast<char>(random.below(256));
    try {
      const Image image = decode_image(damaged, "x");
      REQUIRE(static_cast<int64_t>(image.rgb.size()) == 3 * image.width * image.height);
    } catch (const Error&) {
    }
  }
}

TEST_CASE("image: a header that asks for too much is refused before decoding") {
  const std::string end = png_chunk("IEND");
  CHECK(contains(refusal(png_header(16000, 16000) + end), "too many pixels: 16000 x 16000"));
  CHECK(contains(refusal(png_header(40000, 2) + end), "no side may be longer than 16384"));
  CHECK(contains(refusal(png_header(0, 2) + end), "has no pixels"));
  CHECK(contains(refusal(png_header(4, 4) + end), "cannot be decoded"));
  const std::string picture = encode_png(noise(10, 10, 7));
  CHECK(contains(refusal(picture, {.max_pixels = 99}), "too many pixels: 10 x 10"));
  CHECK(contains(refusal(picture, {.max_bytes = 50}), "the limit is 50"));
}

TEST_CASE("image: a bomb is stopped by the memory budget or the size of its data") {
  std::string zeros(50'000'000, '\0');  // far more than 64 rows of 64 pixels
  std::string packed(compressBound(zeros.size()), '\0');
  uLongf size = packed.size();
  compress(reinterpret_cast<Bytef*>(packed.data()), &size,
           reinterpret_cast<const Bytef*>(zeros.data()), zeros.size());
  packed.resize(size);
  const std::string bomb = png_header(64, 64) + png_chunk("IDAT" + packed) + png_chunk("IEND");
  CHECK(contains(refusal(bomb), "cannot be decoded (outofmem)"));
}

TEST_CASE("image: other files are refused by name") {
  CHECK(refusal("") == "image: 'x': empty file");
  CHECK(contains(refusal("GIF89a..."), "looks like GIF"));
  CHECK(contains(refusal("RIFF\1\2\3\4WEBPVP8 "), "looks like WebP"));
  CHECK(contains(refusal("\n <!DOCTYPE HTML><p>404"), "looks like an HTML page"));
  CHECK(contains(refusal("<?xml version='1.0'?><svg>"), "looks like SVG"));
  CHECK(refusal("hello") == "image: 'x': not a JPEG or PNG picture");
  CHECK(contains(refusal("\xFF\xD8\xFF\xC9" + std::string("\0\x0B\x08\0\1\0\1\1\0\0\0", 11)),
                 "arithmetic-coded"));
}

TEST_CASE("image: a missing file is named") {
  CHECK_THROWS_WITH_AS(load_image("/nowhere/x.png"), doctest::Contains("/nowhere/x.png"), Error);
}

TEST_CASE("resize: every byte equals Pillow's") {
  GoldenReader golden("resize.bin");
  for (int64_t cases = golden.number(); cases > 0; --cases) {
    CAPTURE(cases);
    const int64_t width = golden.number(), height = golden.number();
    const int64_t new_width = golden.number(), new_height = golden.number();
    const Image image = golden.image(width, height);
    const Image expected = golden.image(new_width, new_height);
    CHECK(resize_bicubic(image, new_width, new_height).rgb == expected.rgb);
  }
  CHECK(golden.at_end());
}

TEST_CASE("resize: a window holds the same bytes as the whole") {
  const Image image = noise(70, 45, 8);
  const Image whole = resize_bicubic(image, 33, 60);
  for (const Box& box : {Box{0, 0, 33, 60}, Box{5, 7, 11, 13}, Box{32, 59, 1, 1}})
    CHECK(resize_bicubic(image, 33, 60, box).rgb == crop(whole, box).rgb);
  CHECK_THROWS_AS(resize_bicubic(image, 33, 60, {30, 0, 4, 4}), Error);
}

TEST_CASE("resize: the long side is cut down to an integer") {
  CHECK(resize_shortest(noise(50, 33, 9), 10).width == 15);  // 10 · 50 / 33 = 15.15
  CHECK(resize_shortest(noise(33, 50, 9), 10).height == 15);
  CHECK(resize_shortest(noise(20, 20, 9), 7).height == 7);
}

TEST_CASE("preprocess: a picture one pixel wide costs no more than its crop") {
  const Image thin = noise(1, 16384, 10);
  const Tensor pixels = preprocess(thin, {.size = 224});
  CHECK(pixels.shape() == Shape{3, 224, 224});
  CHECK_THROWS_WITH_AS(resize_shortest(thin, 224), doctest::Contains("16384"), Error);
}

TEST_CASE("crop: odd margins round half to even, as in Python") {
  Image image = noise(7, 4, 11);
  // margins 7 - 4 = 3 → 1.5 → 2;  (7 - 2) / 2 = 2.5 → 2
  CHECK(center_crop(image, 4).rgb == crop(image, {2, 0, 4, 4}).rgb);
  CHECK(center_crop(image, 2).rgb == crop(image, {2, 1, 2, 2}).rgb);
  CHECK_THROWS_WITH_AS(center_crop(image, 5), doctest::Contains("crop"), Error);
}

TEST_CASE("preprocess: pixels are normalised per channel, and luma is Pillow's") {
  const Image image{1, 1, {200, 100, 50}};
  Preprocess how{.size = 1};
  const Tensor rgb = preprocess(image, how);
  for (size_t c = 0; c < 3; ++c)
    CHECK(rgb.data<float>()[c] ==
          doctest::Approx((image.rgb[c] / 255.0 - how.mean[c]) / how.std[c]));
  how = {.size = 1, .mean = {0, 0, 0}, .std = {1, 1, 1}, .channels = 1};
  CHECK(preprocess(image, how).data<float>()[0] == doctest::Approx(124 / 255.0));
  how.channels = 2;
  CHECK_THROWS_AS(preprocess(image, how), Error);
}

TEST_CASE("random crop: boxes lie inside and keep torchvision's area and ratio") {
  PhiloxStream random(12, 0);
  for (int trial = 0; trial < 2000; ++trial) {
    const int64_t width = 100 + random.below(300), height = 100 + random.below(300);
    const Box box = random_resized_crop(width, height, random);
    REQUIRE(box.x >= 0);
    REQUIRE(box.y >= 0);
    REQUIRE(box.x + box.width <= width);
    REQUIRE(box.y + box.height <= height);
    const double ratio = static_cast<double>(box.width) / static_cast<double>(box.height);
    REQUIRE(ratio > 0.74);
    REQUIRE(ratio < 1.35);
  }
  const Box tall = random_resized_crop(10, 100, random);  // no draw can fit
  CHECK(tall.width == 10);
  CHECK(tall.height == 13);
  CHECK(tall.y == 43);
}

TEST_CASE("image: flipping twice changes nothing, once mirrors") {
  const Image image = noise(5, 3, 13);
  CHECK(flip(flip(image)).rgb == image.rgb);
  CHECK(crop(flip(image), {0, 0, 1, 3}).rgb == crop(image, {4, 0, 1, 3}).rgb);
}

TEST_CASE("image: a JPEG whose Huffman table has too many symbols is refused") {
  std::string bytes = encode_jpeg(noise(8, 8, 14), 80);
  std::string counts(16, '\0');
  counts[7] = '\xFF';
  counts[15] = '\x02';  // 257 in all; stb_image would write past its table of 256
  const std::string table = '\x10' + counts + std::string(257, '\0');
  bytes.insert(2,
               "\xFF\xC4" + big_endian(static_cast<uint32_t>(table.size() + 2)).substr(2) + table);
  CHECK(contains(refusal(bytes), "Huffman table of 257 symbols"));
}

TEST_CASE("image: a JPEG without its Huffman tables is refused") {
  std::string bytes = encode_jpeg(noise(8, 8, 15), 80);
  const size_t table = bytes.find("\xFF\xC4");
  const auto length = [&](size_t at) {
    return static_cast<size_t>(static_cast<uint8_t>(bytes[at]));
  };
  bytes.erase(table, 2 + 256 * length(table + 2) + length(table + 3));
  CHECK(contains(refusal(bytes), "cannot be decoded"));
}
