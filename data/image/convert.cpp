// data/image/convert.cpp — Pillow's convert("RGB") (libImaging/Convert.c).
#include <algorithm>
#include <utility>

#include "data/image/transform.h"

namespace diptych {
namespace {

using Rgb = std::array<uint8_t, 3>;

Rgb grey(uint8_t value) { return {value, value, value}; }

uint8_t clipped(int value) { return static_cast<uint8_t>(std::clamp(value, 0, 255)); }

// Light left by a fraction of ink on paper that black ink already dims to `light`.
uint8_t through(uint8_t ink, int light) {
  const int product = ink * light + 128;
  return clipped(light - (((product >> 8) + product) >> 8));
}

Rgb from_cmyk(const uint8_t* s) {
  const int light = 255 - s[3];
  return {through(s[0], light), through(s[1], light), through(s[2], light)};
}

// Calls rgb_of(i) for every pixel i.
template <class F>
RgbImage map_pixels(const Picture& picture, const F& rgb_of) {
  RgbImage out{picture.width, picture.height, {}};
  const auto pixels = static_cast<size_t>(picture.width * picture.height);
  out.rgb.resize(3 * pixels);
  for (size_t i = 0; i < pixels; ++i) {
    const Rgb rgb = rgb_of(i);
    std::copy(rgb.begin(), rgb.end(), out.rgb.begin() + static_cast<int64_t>(3 * i));
  }
  return out;
}

}  // namespace

RgbImage to_rgb(Picture picture) {
  check_complete("to_rgb", picture);
  const uint8_t* s = picture.samples.data();
  switch (picture.mode) {
    case Mode::bilevel:
    case Mode::grey:
      return map_pixels(picture, [&](size_t i) { return grey(s[i]); });
    case Mode::palette:
      return map_pixels(picture, [&](size_t i) { return picture.palette[s[i]]; });
    case Mode::grey_wide:
      return map_pixels(picture, [&](size_t i) { return grey(clipped(picture.wide[i])); });
    case Mode::grey_alpha:
      return map_pixels(picture, [&](size_t i) { return grey(s[2 * i]); });
    case Mode::rgba:
      return map_pixels(picture, [&](size_t i) {
        return Rgb{s[4 * i], s[4 * i + 1], s[4 * i + 2]};
      });
    case Mode::cmyk:
      return map_pixels(picture, [&](size_t i) { return from_cmyk(s + 4 * i); });
    case Mode::rgb:
      break;
  }
  return {picture.width, picture.height, std::move(picture.samples)};
}

Picture to_picture(RgbImage image) {
  return {Mode::rgb, image.width, image.height, std::move(image.rgb), {}, {}};
}

}  // namespace diptych
