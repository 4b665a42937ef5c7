// tests/test_image.cpp — resize, crops and the transforms against Pillow and torchvision.
#include <doctest/doctest.h>

#include <set>

#include "tensor/factory.h"
#include "tests/devices.h"
#include "tests/files.h"
#include "tests/pictures.h"

using namespace diptych;
using namespace diptych::test;

namespace {

Picture take_picture(GoldenReader& golden, int64_t width, int64_t height) {
  const std::string rgb = golden.take(3 * width * height);
  return to_picture({width, height, {rgb.begin(), rgb.end()}});
}

// A picture of any mode.
Picture noise_in(Mode mode, int64_t width, int64_t height) {
  const std::vector<uint8_t> bytes = noise(width, 2 * height, 8).rgb;
  const auto count = static_cast<int64_t>(bands(mode)) * width * height;
  Picture picture{mode, width, height, {bytes.begin(), bytes.begin() + count}, {}, {}};
  if (mode == Mode::palette) picture.palette.resize(256, {1, 2, 3});
  if (mode != Mode::grey_wide) return picture;
  picture.wide.assign(picture.samples.begin(), picture.samples.end());
  picture.samples.clear();
  return picture;
}

constexpr Mode kModes[] = {Mode::bilevel,    Mode::palette, Mode::grey, Mode::grey_wide,
                           Mode::grey_alpha, Mode::rgb,     Mode::rgba, Mode::cmyk};

bool same(const Picture& a, const Picture& b) {
  return a.mode == b.mode && a.width == b.width && a.height == b.height && a.samples == b.samples &&
         a.wide == b.wide && a.palette == b.palette;
}

}  // namespace

TEST_CASE(
    "preprocess: 360 PNGs, 19 JPEGs and 300 of other formats, of all modes, give Pillow's bytes") {
  std::set<ResizeMode> resize_modes;
  std::set<Mode> modes;
  std::vector<GoldenPicture> all = golden_pictures();
  all.insert(all.end(), golden_formats().begin(), golden_formats().end());
  for (const GoldenPicture& golden : all) {
    CAPTURE(golden.name);
    CAPTURE(name(golden.how.resize_mode));
    const Picture picture = decode_picture(golden.bytes, golden.name);
    const RgbImage view = square_view(picture, golden.how);
    CHECK(crc32_of(view.rgb.data(), view.rgb.size()) == golden.view_crc);
    resize_modes.insert(golden.how.resize_mode);
    modes.insert(picture.mode);
  }
  CHECK(resize_modes.size() == 3);
  CHECK(modes.size() == 8);
}

TEST_CASE("resize: every byte equals Pillow's") {
  GoldenReader golden("resize.bin");
  for (int64_t cases = golden.number(); cases > 0; --cases) {
    CAPTURE(cases);
    const int64_t width = golden.number(), height = golden.number();
    const int64_t new_width = golden.number(), new_height = golden.number();
    const Picture picture = take_picture(golden, width, height);
    const Picture expected = take_picture(golden, new_width, new_height);
    CHECK(resize(picture, new_width, new_height).samples == expected.samples);
  }
  CHECK(golden.at_end());
}

TEST_CASE("resize: every byte of every filter equals Pillow's") {
  GoldenReader golden("filters.bin");
  for (int64_t cases = golden.number(); cases > 0; --cases) {
    const auto filter = static_cast<Interpolation>(golden.number());
    const int64_t n = golden.number(), width = golden.number(), height = golden.number();
    const int64_t new_width = golden.number(), new_height = golden.number();
    CAPTURE(name(filter));
    CAPTURE(n);
    const auto take = [&](int64_t w, int64_t h) {
      const std::string samples = golden.take(n * w * h);
      const Mode mode = n == 1 ? Mode::grey : n == 3 ? Mode::rgb : Mode::rgba;
      return Picture{mode, w, h, {samples.begin(), samples.end()}, {}, {}};
    };
    const Picture picture = take(width, height), expected = take(new_width, new_height);
    CHECK(resize(picture, new_width, new_height, filter).samples == expected.samples);
  }
  CHECK(golden.at_end());
}

TEST_CASE("preprocess: a margin of three pixels begins at the even one, or is rounded down") {
  const Picture picture = noise_in(Mode::rgb, 20, 23);
  const auto view = [&](bool rounds_down) {
    return square_view(picture, {.size = 20, .crop_rounds_down = rounds_down}).rgb;
  };
  CHECK(view(false) == to_rgb(crop(picture, {0, 2, 20, 20})).rgb);
  CHECK(view(true) == to_rgb(crop(picture, {0, 1, 20, 20})).rgb);
}

TEST_CASE("preprocess: a short side above R leaves the middle of a larger picture") {
  const Picture picture = noise_in(Mode::rgb, 70, 45);
  const Preprocess how{.size = 20, .shortest = 30, .interpolation = Interpolation::bilinear};
  const Picture whole = resize(picture, 46, 30, Interpolation::bilinear);
  CHECK(square_view(picture, how).rgb == to_rgb(crop(whole, {13, 5, 20, 20})).rgb);
}

TEST_CASE("resize: in every mode a window holds the same samples as the whole") {
  for (const Mode mode : kModes) {
    CAPTURE(static_cast<int>(mode));
    const Picture picture = noise_in(mode, 70, 45);
    const Picture whole = resize(picture, 33, 60);
    for (const Box& box : {Box{0, 0, 33, 60}, Box{5, 7, 11, 13}, Box{32, 59, 1, 1}})
      CHECK(same(resize(picture, 33, 60, box), crop(whole, box)));
    CHECK(same(resize(picture, 70, 45), picture));
  }
}

TEST_CASE("resize: what cannot be is refused") {
  const Picture picture = noise_in(Mode::rgb, 4, 4);
  CHECK_THROWS_WITH_AS(resize(picture, 33, 60, {30, 0, 4, 4}), doctest::Contains("does not fit"),
                       Error);
  CHECK_THROWS_WITH_AS(resize(picture, 20000, 20000), doctest::Contains("gives more than"), Error);
  CHECK_THROWS_WITH_AS(resize({Mode::rgba, 4, 4, picture.samples, {}, {}}, 2, 2),
                       doctest::Contains("4 x 4 pixels with 48 samples"), Error);
  CHECK_THROWS_WITH_AS(to_rgb({Mode::grey_wide, 1, 1, {7}, {}, {}}),
                       doctest::Contains("1 x 1 pixels with 0 samples"), Error);
  CHECK_THROWS_WITH_AS(crop({Mode::palette, 1, 1, {7}, {}, {{1, 2, 3}}}, {0, 0, 1, 1}),
                       doctest::Contains("a palette of 1 colours"), Error);
}

TEST_CASE("resize: a transparent colour does not bleed into its neighbour") {
  const Picture picture{Mode::rgba, 2, 1, {255, 0, 0, 0, 10, 20, 30, 255}, {}, {}};
  const Picture wider = resize(picture, 9, 1);
  for (size_t i = 0; i < wider.samples.size(); i += 4)
    if (wider.samples[i + 3] > 100) CHECK(wider.samples[i] < 20);
}

TEST_CASE("preprocess: a picture one pixel wide costs no more than its crop") {
  const Picture thin = to_picture(noise(1, 16384, 10));
  CHECK(preprocess(thin, {.size = 224}).shape() == Shape{3, 224, 224});
  CHECK_THROWS_WITH_AS(preprocess(thin, {.size = 224, .resize_mode = ResizeMode::longest}),
                       doctest::Contains("1 x 16384 is too thin"), Error);
}

TEST_CASE("preprocess: odd margins round half to even, as in Python") {
  const RgbImage image = noise(7, 4, 11);
  // (7 - 4) / 2 = 1.5 → 2;  9 · 2 / 4 = 4, (4 - 2) / 2 = 1
  CHECK(square_view(to_picture(image), {.size = 4}).rgb ==
        crop(to_picture(image), {2, 0, 4, 4}).samples);
  const Picture five = to_picture(noise(2, 7, 11));  // (7 - 2) / 2 = 2.5 → 2
  CHECK(square_view(five, {.size = 2}).rgb == crop(five, {0, 2, 2, 2}).samples);
  CHECK_THROWS_WITH_AS(crop(five, {0, 5, 2, 3}), doctest::Contains("leaves the picture"), Error);
}

TEST_CASE("preprocess: longest fills with zeros, the odd one right and below") {
  const RgbImage wide{4, 1, std::vector<uint8_t>(12, 200)};
  const RgbImage view =
      square_view(to_picture(wide), {.size = 4, .resize_mode = ResizeMode::longest});
  for (size_t y = 0; y < 4; ++y) CHECK(view.rgb[12 * y] == (y == 1 ? 200 : 0));
  CHECK_THROWS_WITH_AS(pad(to_picture(wide), 3, 3), doctest::Contains("does not fit"), Error);
}

TEST_CASE("preprocess: pixels are normalised per channel, and luma is Pillow's") {
  const RgbImage image{1, 1, {200, 100, 50}};
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

TEST_CASE("preprocess: all 256 values in every channel, to the bit, on every device") {
  const Preprocess ways[] = {{.size = 16},
                             {.size = 16, .mean = {0, 0, 0}, .std = {1, 1, 1}},
                             {.size = 16, .mean = {0.5f, 0.5f, 0.5f}, .std = {0.5f, 0.5f, 0.5f}},
                             {.size = 16, .mean = {-1, 0.1f, 30}, .std = {1e-39f, 0.3f, 1e30f}},
                             {.size = 16, .channels = 1}};
  RgbImage image{16, 16, {}};
  for (int v = 0; v < 256; ++v)
    image.rgb.insert(image.rgb.end(), 3, static_cast<uint8_t>(v));  // of which luma is v, too
  for (const Preprocess& how : ways) {
    const Tensor bytes = to_bytes(image, how);
    CHECK(bytes.shape() == Shape{16, 16, how.channels});
    for (const Device device : devices()) {
      const Tensor table = pixel_table(how).to(device);
      const auto x = normalized(bytes.view({1, 16, 16, how.channels}), table).to_vector<float>();
      for (size_t i = 0; i < x.size(); ++i) {
        volatile float scaled = static_cast<float>(i % 256) / 255.0f;
        volatile float centred = scaled - how.mean[i / 256];
        CHECK(x[i] == centred / how.std[i / 256]);
      }
    }
  }
}

TEST_CASE("preprocess: pictures of another layout or type are refused") {
  const Tensor table = pixel_table({.size = 4});
  for (const Tensor& wrong :
       {zeros({1, 3, 4, 4}, DType::u8), zeros({4, 4, 3}, DType::u8), zeros({1, 4, 4, 3})})
    CHECK(contains(error_of([&] { normalized(wrong, table); }), "u8 (B, R, R, 3), got "));
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
    const double whole = static_cast<double>(width) / static_cast<double>(height);
    // The box of last resort cuts longer pictures down. Sides are rounded: half a pixel of 100.
    if (whole > 0.75 && whole < 1.33)
      REQUIRE(box.width * box.height > 0.89 * static_cast<double>(width * height));
  }
  const Box tall = random_resized_crop(10, 100, random);  // no draw can fit
  CHECK(tall.width == 10);
  CHECK(tall.height == 13);
  CHECK(tall.y == 43);
}

TEST_CASE("training: the square crop is a window of the picture at its short side") {
  PhiloxStream random(13, 0);
  const Picture picture = noise_in(Mode::rgb, 20, 10);
  const Preprocess how{.size = 10, .training_crop = TrainingCrop::square};
  std::set<std::vector<uint8_t>> seen, possible;
  for (int64_t x = 0; x <= 10; ++x)
    possible.insert(evaluation_bytes(crop(picture, {x, 0, 10, 10}), how).to_vector<uint8_t>());
  for (int trial = 0; trial < 200; ++trial)
    seen.insert(training_bytes(picture, how, random).to_vector<uint8_t>());
  CHECK(seen == possible);
}

TEST_CASE("training: the resized crop is cut and resized in the picture's own mode") {
  const Picture picture = noise_in(Mode::rgba, 40, 30);
  PhiloxStream random(14, 0), again(14, 0);
  const Box box = random_resized_crop(40, 30, again);
  CHECK(same_bits(training_bytes(picture, {.size = 16}, random),
                  to_bytes(to_rgb(resize(crop(picture, box), 16, 16)), {.size = 16})));
}

TEST_CASE("preprocess: names of modes are read back, others are refused") {
  for (const ResizeMode mode : {ResizeMode::shortest, ResizeMode::longest, ResizeMode::squash})
    CHECK(resize_mode_from(name(mode)) == mode);
  for (const TrainingCrop crop : {TrainingCrop::resized, TrainingCrop::square})
    CHECK(training_crop_from(name(crop)) == crop);
  CHECK_THROWS_WITH_AS(resize_mode_from("fit"), doctest::Contains("known: shortest"), Error);
  CHECK_THROWS_WITH_AS(training_crop_from("fit"), doctest::Contains("known: resized"), Error);
}
