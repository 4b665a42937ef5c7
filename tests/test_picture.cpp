// tests/test_picture.cpp — decoding: good files to Pillow's bytes, damaged and hostile ones never.
#include <doctest/doctest.h>
#include <zlib.h>

#include "tests/files.h"
#include "tests/pictures.h"

using namespace diptych;
using namespace diptych::test;

namespace {

// The message with which decoding refuses these bytes; empty if it accepts them.
std::string refusal(const std::string& bytes, const ImageLimits& limits = {}) {
  return error_of([&] { decode_picture(bytes, "x", limits); });
}

bool is_png(const std::string& bytes) { return bytes.starts_with("\x89PNG"); }

// Puts the right checksums back, so that damage reaches the code behind them.
void mend_checksums(std::string& png) {
  for (size_t pos = 8; pos + 12 <= png.size();) {
    uint32_t length = 0;
    for (size_t i = pos; i < pos + 4; ++i) length = length << 8 | static_cast<uint8_t>(png[i]);
    if (length > png.size() - pos - 12) return;
    png.replace(pos + 8 + length, 4, big_endian(crc32_of(png.data() + pos + 4, length + 4)));
    pos += 12 + length;
  }
}

std::string mutant_of(std::string bytes, PhiloxStream& random) {
  for (int64_t change = random.below(8); change >= 0; --change) {
    char& byte = bytes[static_cast<size_t>(random.below(static_cast<int64_t>(bytes.size())))];
    byte =
        static_cast<char>(random.below(2) == 0 ? random.below(256) : byte ^ (1 << random.below(8)));
  }
  if (is_png(bytes) && random.below(4) != 0) mend_checksums(bytes);
  return bytes;
}

std::string compressed(const std::string& text) {
  std::string packed(compressBound(text.size()), '\0');
  uLongf size = packed.size();
  compress(reinterpret_cast<Bytef*>(packed.data()), &size,
           reinterpret_cast<const Bytef*>(text.data()), text.size());
  packed.resize(size);
  return packed;
}

// How far f() raises the memory in use above what it was, at its highest.
template <class F>
int64_t peak_growth(const F& f) {
  const auto kib = [](const std::string& field) {
    const std::string status = get_file("/proc/self/status");
    return std::stoll(status.substr(status.find(field) + field.size() + 1));
  };
  std::ofstream("/proc/self/clear_refs") << 5;  // forgets the highest mark so far
  const int64_t before = kib("VmHWM");
  f();
  return (kib("VmHWM") - before) << 10;
}

std::string jpeg_segment(char marker, const std::string& data) {
  return std::string("\xFF") + marker +
         big_endian(static_cast<uint32_t>(data.size() + 2)).substr(2) + data;
}

// A progressive JPEG of one grey block. Each scan sends one bit of one coefficient: end of band.
std::string jpeg_of_scans(int count) {
  const std::string one_code = std::string("\1") + std::string(15, '\0') + '\0';
  std::string bytes = "\xFF\xD8" + jpeg_segment('\xDB', '\0' + std::string(64, '\1')) +
                      jpeg_segment('\xC2', std::string("\x08\0\x08\0\x08\1\1\x11\0", 9)) +
                      jpeg_segment('\xC4', '\0' + one_code + '\x10' + one_code) +
                      jpeg_segment('\xDA', std::string("\1\1\0\0\0\0", 6)) + '\x7F';
  for (int scan = 1; scan < count; ++scan) {
    const char coefficient = static_cast<char>(1 + (scan - 1) / 2);
    const char bits = (scan - 1) % 2 == 0 ? '\x01' : '\x10';  // bit 1, then bit 0
    bytes +=
        jpeg_segment('\xDA', std::string("\1\1\0", 3) + coefficient + coefficient + bits) + '\x7F';
  }
  return bytes + "\xFF\xD9";
}

}  // namespace

TEST_CASE("picture: every kind of PNG and JPEG decodes to Pillow's bytes") {
  for (const GoldenPicture& golden : golden_pictures()) {
    CAPTURE(golden.name);
    const RgbImage image = to_rgb(decode_picture(golden.bytes, golden.name));
    CHECK(
        golden.name.starts_with(std::to_string(image.width) + 'x' + std::to_string(image.height)));
    CHECK(crc32_of(image.rgb.data(), image.rgb.size()) == golden.whole_crc);
  }
}

TEST_CASE("picture: a PNG comes back as it was written") {
  const RgbImage image = noise(16, 12, 1);
  const Picture back = decode_picture(encode_png(image), "x");
  CHECK(back.mode == Mode::rgb);
  CHECK(back.width == 16);
  CHECK(back.height == 12);
  CHECK(back.samples == image.rgb);
  CHECK_THROWS_WITH_AS(encode_png({4, 4, {}}), doctest::Contains("4 x 4 pixels with 0"), Error);
}

TEST_CASE("picture: a file cut at any length is refused") {
  const std::string png = encode_png(noise(16, 12, 2));
  const std::string jpeg = golden_file("37x23 JPEG subsampling 2");
  const std::string progressive = golden_file("37x23 JPEG subsampling 2 progressive");
  for (const std::string& whole : {png, jpeg, progressive}) {
    CHECK(refusal(whole) == "");
    for (size_t n = 0; n < whole.size(); ++n) REQUIRE(refusal(whole.substr(0, n)) != "");
  }
  CHECK(contains(refusal(png.substr(0, png.size() - 12)), "truncated (no IEND chunk)"));
  CHECK(contains(refusal(jpeg.substr(0, jpeg.size() - 2)), "Premature end of JPEG file"));
}

TEST_CASE("picture: every kind of file is refused when cut") {
  size_t step = 0;
  for (const GoldenPicture& golden : golden_pictures()) {
    CAPTURE(golden.name);
    for (size_t n = ++step % 61; n < golden.bytes.size(); n += 61)
      REQUIRE(refusal(golden.bytes.substr(0, n)) != "");
    REQUIRE(refusal(golden.bytes.substr(0, golden.bytes.size() - 1)) != "");
  }
}

TEST_CASE("picture: a PNG with any bit flipped is refused") {
  const std::string whole = encode_png(noise(8, 6, 4));
  for (size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::string damaged = whole;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    CAPTURE(bit);
    REQUIRE(refusal(damaged) != "");
  }
}

TEST_CASE("picture: damaged files are decoded or refused, never more") {
  PhiloxStream random(6, 0);
  const auto& files = golden_pictures();
  for (int trial = 0; trial < 4000; ++trial) {
    const auto which = static_cast<size_t>(random.below(static_cast<int64_t>(files.size())));
    const std::string damaged = mutant_of(files[which].bytes, random);
    try {
      const Picture p = decode_picture(damaged, "x", {.max_pixels = 1 << 20});
      REQUIRE(static_cast<int64_t>(p.samples.size() + p.wide.size()) ==
              bands(p.mode) * p.width * p.height);
      square_view(p, {.size = 4});
    } catch (const Error&) {
    }
  }
}

TEST_CASE("picture: a JPEG whose data libjpeg had to guess is refused") {
  const std::string whole = golden_file("43x40 JPEG with restarts");
  const auto damaged = [&](size_t at, const std::string& bytes) {
    std::string out = whole;
    return out.replace(at, bytes.size(), bytes);
  };
  const size_t restart = whole.find("\xFF\xD2");
  REQUIRE(restart != whole.npos);
  CHECK(contains(refusal(damaged(restart, "\xFF\xD5")), "Corrupt JPEG data"));
  CHECK(contains(refusal(damaged(restart - 20, std::string(20, '\0'))), "Corrupt JPEG data"));
  CHECK(contains(refusal(damaged(whole.size() - 2, "\xFF\xD8")), "two SOI markers"));
}

TEST_CASE("picture: an odd JPEG header that changes no pixel is accepted") {
  std::string bytes = golden_file("37x23 JPEG subsampling 0");
  const Picture before = decode_picture(bytes, "x");
  bytes[bytes.find("JFIF") + 5] = '\x09';     // an unknown revision
  bytes[bytes.find("\xFF\xDA") + 12] = '\1';  // the last coefficient, which only progressive uses
  CHECK(decode_picture(bytes, "x").samples == before.samples);
}

TEST_CASE("picture: a header that asks for too much is refused before decoding") {
  const std::string end = png_chunk("IDAT") + png_chunk("IEND");
  CHECK(contains(refusal(png_header(16000, 16000) + end), "too many pixels: 16000 x 16000"));
  CHECK(contains(refusal(png_header(40000, 2) + end), "Not enough image data"));
  CHECK(contains(refusal(png_header(1'000'001, 1) + end), "Invalid IHDR data"));
  CHECK(contains(refusal(png_header(0, 2) + end), "Invalid IHDR data"));
  CHECK(contains(refusal(png_header(4, 4) + end), "Not enough image data"));
  std::string jpeg = golden_file("37x23 JPEG subsampling 2");
  jpeg.replace(jpeg.find("\xFF\xC0") + 5, 4, "\x3E\x80\x3E\x80");
  CHECK(contains(refusal(jpeg), "too many pixels: 16000 x 16000"));
  const std::string picture = encode_png(noise(10, 10, 7));
  CHECK(contains(refusal(picture, {.max_pixels = 99}), "too many pixels: 10 x 10"));
  const std::string file = picture + std::string(65 << 20, ' ');
  CHECK(contains(refusal(file, {.max_pixels = 100}), "bytes, the limit is 67109264"));
}

TEST_CASE("picture: what unpacks to megabytes beside the picture is skipped") {
  std::string bomb = png_header(64, 64);
  const std::string text = compressed(std::string(7'900'000, 'x'));
  for (int i = 0; i < 30; ++i) bomb += png_chunk("zTXt" + std::string("k\0\0", 3) + text);
  const std::string rows = compressed(std::string(7'900'000, '\0'));  // far more than 64 rows of 64
  bomb += png_chunk("IDAT" + rows) + png_chunk("IEND");
  Picture picture;
  CHECK(peak_growth([&] { picture = decode_picture(bomb, "x"); }) < 64 << 20);
  CHECK(picture.samples == std::vector<uint8_t>(3 * 64 * 64));
}

TEST_CASE("picture: a JPEG of endless scans is refused") {
  CHECK(refusal(jpeg_of_scans(100)) == "");
  CHECK(contains(refusal(jpeg_of_scans(101)), "more than 100 scans"));
}

TEST_CASE("picture: other files are refused by name") {
  CHECK(refusal("") == "image: 'x': empty file");
  CHECK(contains(refusal("II*...."), "it begins with 49 49 2A 2E 2E 2E 2E 'II*....'"));
  CHECK(contains(refusal(std::string("II*\0", 4)), "(it looks like TIFF; convert it first)"));
  CHECK(contains(refusal("\n <!DOCTYPE HTML><p>404"), "looks like an HTML page"));
  CHECK(contains(refusal("<?xml version='1.0'?><svg>"), "looks like SVG"));
  CHECK(refusal("hello, world") ==
        "image: 'x': not a PNG, JPEG, WebP, GIF, BMP, PNM or TGA picture; it begins with 68 65 6C "
        "6C 6F 2C 20 77 'hello, w'");
  CHECK(contains(refusal("\xFFz'\n"), "it begins with FF 7A 27 0A '.z..'"));
}

TEST_CASE("picture: kinds of JPEG that Pillow refuses are refused by name") {
  const auto with_frame = [](char marker, char depth, const std::string& components,
                             const std::string& scan) {
    return "\xFF\xD8" + jpeg_segment(marker, depth + std::string("\0\1\0\1", 4) + components) +
           jpeg_segment('\xDA', scan + std::string("\0\x3F\0", 3)) + "\xFF\xD9";
  };
  const std::string one("\1\1\x11\0", 4), scan_of_one("\1\1\0", 3);
  CHECK(contains(refusal(with_frame('\xC3', 8, one, scan_of_one)), "Unsupported JPEG process"));
  CHECK(contains(refusal(with_frame('\xC0', 12, one, scan_of_one)), "precision 12"));
  CHECK(contains(refusal(with_frame('\xC0', 8, std::string("\2\1\x11\0\2\x11\0", 7),
                                    std::string("\2\1\0\2\0", 5))),
                 "JPEG of 2 components"));
}

TEST_CASE("picture: a missing file is named") {
  CHECK_THROWS_WITH_AS(load_picture("/nowhere/x.png"), doctest::Contains("/nowhere/x.png"), Error);
}
