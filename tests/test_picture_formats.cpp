// tests/test_picture_formats.cpp — WebP, GIF, BMP, PNM and TGA: Pillow's bytes, or a sentence.
#include <doctest/doctest.h>

#include <random>

#include "data/class_folders.h"
#include "data/picture_files.h"
#include "tests/files.h"
#include "tests/limited.h"
#include "tests/mutants.h"
#include "tests/pictures.h"

using namespace diptych;
using namespace diptych::test;

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
const int kMutantsPerFormat = mutants(500);
#else
const int kMutantsPerFormat = mutants(2'000);
#endif

std::string refusal(const std::string& bytes, const ImageLimits& limits = {}) {
  return error_of([&] { decode_picture(bytes, "x", limits); });
}

std::string u16(int64_t value) { return {static_cast<char>(value), static_cast<char>(value >> 8)}; }
std::string u32(int64_t value) { return u16(value) + u16(value >> 16); }
std::string zeros(size_t count) { return std::string(count, '\0'); }

// What a name in formats.bin says of the format.
std::string format_of(const GoldenPicture& golden) {
  const std::string word = golden.name.substr(golden.name.find(' ') + 1);
  return word[0] == 'P' ? "PNM" : word.substr(0, word.find(' '));
}

std::vector<const GoldenPicture*> files_of(const std::string& format) {
  std::vector<const GoldenPicture*> files;
  for (const GoldenPicture& golden : golden_formats())
    if (format_of(golden) == format) files.push_back(&golden);
  return files;
}

constexpr const char* kFormats[] = {"BMP", "GIF", "PNM", "TGA", "WebP"};

std::string bmp(int64_t width, int64_t height, int64_t bits, int64_t compression,
                const std::string& behind, int64_t colours = 0, int64_t header = 40) {
  return "BM" + zeros(12) + u32(header) + u32(width) + u32(height) + u16(1) + u16(bits) +
         u32(compression) + zeros(12) + u32(colours) + zeros(4) + behind;
}

// A palette of two colours.
const std::string kTwo("\x10\x20\x30\0\x40\x50\x60\0", 8);

std::string bmp_of_runs(const std::string& runs, int64_t bits = 8) {
  return bmp(4, 2, bits, bits == 8 ? 1 : 2, kTwo + runs, 2);
}

struct Tga {
  int map = 0, type = 2;
  int64_t map_size = 0, map_bits = 0, width = 2, height = 1, bits = 24, flags = 0x20;
};

std::string tga(const Tga& t, const std::string& behind) {
  return std::string{'\0', static_cast<char>(t.map), static_cast<char>(t.type)} + u16(0) +
         u16(t.map_size) + static_cast<char>(t.map_bits) + zeros(4) + u16(t.width) + u16(t.height) +
         static_cast<char>(t.bits) + static_cast<char>(t.flags) + behind;
}

std::string gif(int64_t width, int64_t height, const std::string& behind) {
  return "GIF89a" + u16(width) + u16(height) + zeros(3) + behind;
}

std::string gif_frame(int64_t width, int64_t height, const std::string& data) {
  return ',' + zeros(4) + u16(width) + u16(height) + '\0' + data;
}

std::string webp(const std::string& chunks) {
  return "RIFF" + u32(static_cast<int64_t>(chunks.size()) + 4) + "WEBP" + chunks;
}

// An animation without frames; sizes less one.
std::string webp_canvas(int64_t width, int64_t height) {
  return webp("VP8X" + u32(10) + u32(2) + u16(width) + static_cast<char>(width >> 16) +
              u16(height) + static_cast<char>(height >> 16));
}

}  // namespace

TEST_CASE("formats: every kind of WebP, GIF, BMP, PNM and TGA decodes to Pillow's bytes") {
  for (const GoldenPicture& golden : golden_formats()) {
    CAPTURE(golden.name);
    const RgbImage image = to_rgb(decode_picture(golden.bytes, golden.name));
    CHECK(
        golden.name.starts_with(std::to_string(image.width) + 'x' + std::to_string(image.height)));
    CHECK(crc32_of(image.rgb.data(), image.rgb.size()) == golden.whole_crc);
  }
  for (const char* format : kFormats) CHECK(files_of(format).size() == 60);
}

TEST_CASE("formats: a file cut at any length is refused, or nothing of its picture is missing") {
  size_t step = 0;
  for (const GoldenPicture& golden : golden_formats()) {
    if (contains(golden.name, " P2 ") || contains(golden.name, " P3 ")) continue;  // cut numbers
    CAPTURE(golden.name);
    const RgbImage whole = to_rgb(decode_picture(golden.bytes, golden.name));
    int64_t refused = 0;
    for (size_t n = ++step % 7; n < golden.bytes.size(); n += 7) {
      CAPTURE(n);
      RgbImage part = whole;
      const std::string error =
          error_of([&] { part = to_rgb(decode_picture(golden.bytes.substr(0, n), "x")); });
      REQUIRE(part.rgb == whole.rgb);
      refused += !error.empty();
    }
    CHECK(refused > 0);
  }
  CHECK(refusal("P2 2 1 99 10 23") == "");
  CHECK(contains(refusal("P2 2 1 99 10 "), "no number"));
}

TEST_CASE("formats: damaged files are decoded or refused, never more") {
  std::mt19937_64 random(7);
  for (const char* format : kFormats) {
    const auto files = files_of(format);
    int decoded = 0;
    for (int trial = 0; trial < kMutantsPerFormat; ++trial) {
      std::string damaged = files[random() % files.size()]->bytes;
      for (auto edits = 1 + random() % 4; edits > 0; --edits) mutate(damaged, random);
      try {
        const Picture p = decode_picture(damaged, "x", {.max_pixels = 1 << 16});
        REQUIRE(static_cast<int64_t>(p.samples.size() + p.wide.size()) ==
                bands(p.mode) * p.width * p.height);
        square_view(p, {.size = 4});
        ++decoded;
      } catch (const Error&) {
      }
    }
    CHECK_MESSAGE(decoded > kMutantsPerFormat / 20, std::string(format));
    MESSAGE(std::string(format), ": ", kMutantsPerFormat, " mutants, ", decoded, " decoded");
  }
}

TEST_CASE("formats: Pillow's number of pixels is the limit, to the pixel") {
  const auto said = [](const std::string& size) { return refusal("P6 " + size + " 255\n"); };
  CHECK(ImageLimits{}.max_pixels == 2 * (1024 * 1024 * 1024 / 4 / 3));
  CHECK(contains(said("12470 14351"), "the file is cut short"));  // 178,956,970 pixels
  CHECK(contains(said("12470 14352"), "too many pixels: 12470 x 14352, the limit is 178956970"));
  CHECK(contains(said("12470 14352"), "--max-image-pixels"));
  CHECK(contains(said("1000001 1"), "no side may be longer than 1000000"));
  CHECK(contains(said("0 4"), "has no pixels"));
}

TEST_CASE("formats: what a header announces is not paid for") {
  const std::pair<std::string, const char*> bombs[] = {
      {bmp(0x7FFFFFFF, 0x7FFFFFFF, 24, 0, ""), "no side may be longer"},
      {bmp(16000, 16000, 24, 0, ""), "too many pixels"},
      {bmp(12000, 12000, 24, 0, "abc"), "cut short"},
      {bmp(-5, 4, 24, 0, ""), "no side may be longer"},
      {tga({.width = 65535, .height = 65535}, ""), "too many pixels"},
      {tga({.width = 12000, .height = 12000}, "abc"), "cut short"},
      {gif(65535, 65535, gif_frame(1, 1, "\2")), "too many pixels"},
      {gif(1, 1, gif_frame(65535, 65535, "\2")), "too many pixels"},
      {"P1 12000 12000 1", "cut short"},
      {"P2 12000 12000 65535 1", "cut short"},
      {"P5 12000 12000 65535 1", "cut short"},
      {"P6 99999999999 1 1 ", "no number of at most ten digits"},
      {webp_canvas(0xFFFFF, 9), "no side may be longer"},
      {webp_canvas(15999, 15999), "too many pixels"},
      {webp_canvas(9, 9), "cut short"}};
  for (const auto& [bytes, message] : bombs) {
    const std::string& file = bytes;
    const Limited got = run_limited(64 << 20, [&] { decode_picture(file, "x"); });
    CHECK_MESSAGE(contains(got.error, message), got.error);
    CHECK(got.growth < 16 << 20);
  }
}

TEST_CASE("formats: what Pillow misreads, or does not read, is refused by name") {
  const std::string first_two = gif(2, 1, "");
  const std::pair<std::string, const char*> refused[] = {
      {bmp(4, 2, 2, 0, ""), "a BMP of 2 bits is not read"},
      {bmp(4, 2, 24, 4, ""), "a BMP of compression 4 is not read"},
      {bmp(4, 2, 8, 2, ""), "of 8 bits with runs of another number"},
      {bmp(4, 2, 24, 0, "", 0, 52), "whose header has 52 bytes"},
      {bmp(4, 2, 32, 3, u32(1) + u32(2) + u32(4)), "such masks of colours"},
      {bmp(4, 2, 8, 0, "", 300), "a palette of 300 colours"},
      {bmp(4, 2, 4, 0, zeros(4) + "\xFF\xFF\xFF" + zeros(9), 2), "2 greys in order, which Pillow"},
      {bmp_of_runs(zeros(2)), "an empty row, which Pillow misreads"},
      {bmp_of_runs(zeros(1) + "\2\1\1"), "leaves out pixels, which Pillow misreads"},
      {bmp_of_runs("\4\1" + zeros(1) + "\1"), "end before its last pixel"},
      {bmp_of_runs("\2\1" + zeros(1) + "\3\1\1\1"), "go on behind their row"},
      {bmp_of_runs(zeros(1) + "\3\x11\x11", 4), "an odd number of 4-bit values"},
      {tga({.type = 9, .bits = 8}, "ab"), "indices without colours"},
      {tga({.map = 1, .type = 1, .map_size = 1, .map_bits = 32, .bits = 8}, "1234ab"),
       "colours of 32 bits is not read"},
      {tga({.map = 1, .type = 2, .map_size = 1, .map_bits = 24}, ""),
       "colours that no pixel names"},
      {tga({.type = 2, .bits = 8}, "ab"), "type 2 with 8 bits a pixel is not read"},
      {tga({.type = 11, .bits = 1}, "ab"), "type 11 with 1 bits a pixel is not read"},
      {tga({.type = 11, .height = 2, .bits = 8},
           "\x82"
           "a" +
               zeros(1) + "b"),
       "leave their row"},
      {tga({.type = 11, .bits = 8}, "\2abc"), "leave their row"},
      {tga({.flags = 0x60}, ""), "interleaved rows"},
      {first_two + ';', "a GIF without a picture"},
      {first_two + 'x', "a GIF's byte 13 is 120, which begins nothing"},
      {first_two + "!\xF9\1\1" + zeros(1), "graphic control is too short"},
      {first_two + "!\1" + zeros(1), "an extension of a GIF is empty"},
      {first_two + gif_frame(2, 1, "\1"), "codes begin with 1 bits"},
      {first_two + gif_frame(2, 1, "\2\1\x2C" + zeros(1)), "end before its last pixel"},
      {first_two + gif_frame(2, 1, "\2\1\x3C" + zeros(1)), "stands for nothing yet"},
      {"P5 1 1 0 a", "the largest sample is 0"},
      {"P5 1 1 65536 a", "the largest sample is 65536"},
      {"P2 1 1 7 8", "a sample of 8 where the largest is 7"},
      {"P3 1 1 7 1#a\n2 3 4", "no number"},
      {"P1 2 1 12", "no 0 or 1"},
      {"P7\nWIDTH 1", "it begins with 50 37"},
      {std::string("\0\0\1\0\1\0", 6), "looks like an icon"},
      {"RIFX\1\2\3\4WEBPVP8 ", "begins with RIFF"},
      {webp("VP8 " + u32(16) + "abcdefghijklmnop"), "an error in the data of WebP"}};
  for (const auto& [bytes, message] : refused) {
    const std::string error = refusal(bytes);
    CHECK_MESSAGE(contains(error, message), error);
  }
}

TEST_CASE("formats: a name of each is one of a picture, and folders hold them all") {
  const TempDir dir;
  for (const char* kind : {"a", "b"}) {
    std::filesystem::create_directory(dir / kind);
    for (const char* format : kFormats) {
      std::string extension = format_of(*files_of(format)[0]);
      for (char& c : extension) c = static_cast<char>(std::tolower(c));
      put_file(dir / kind + "/1." + extension, files_of(format)[0]->bytes);
    }
    for (const char* name : {"/1.PBM", "/1.pgm", "/1.ppm"})
      put_file(dir / kind + name, files_of("PNM")[0]->bytes);
  }
  CHECK(picture_files(dir.path()).left_out.empty());
  const ClassFolders data(dir.path(), {.size = 8});
  CHECK(data.size() == 16);
  for (int64_t i = 0; i < data.size(); ++i) CHECK(data.get(i, 0).pixels.shape() == Shape{8, 8, 3});
  const ClassFolders small(dir.path(), {.size = 8}, {.max_pixels = 1});
  CHECK(contains(error_of([&] { small.get(0, 0); }), "the limit is 1"));
}
