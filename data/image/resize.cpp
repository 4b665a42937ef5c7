// data/image/resize.cpp — Pillow's Image.resize: what it does in each mode.
#include <algorithm>
#include <utility>

#include "data/image/resample.h"
#include "tensor/types.h"

namespace diptych {
namespace {

constexpr int64_t kMaxPixels = int64_t{1} << 28;

// The input below each output's centre. Positions are summed up as in Pillow, which decides ties.
std::vector<int64_t> nearest_inputs(int64_t inputs, int64_t outputs, int64_t begin, int64_t count) {
  const double scale = static_cast<double>(inputs) / static_cast<double>(outputs);
  std::vector<int64_t> nearest;
  double centre = scale * 0.5;
  for (int64_t k = 0; k < begin + count; ++k, centre += scale)
    if (k >= begin) nearest.push_back(std::min(static_cast<int64_t>(centre), inputs - 1));
  return nearest;
}

template <class Sample>
std::vector<Sample> take_nearest(const std::vector<Sample>& x, int64_t bands, const Scaling& s) {
  const Box& window = s.window;
  const auto columns = nearest_inputs(s.width, s.new_width, window.x, window.width);
  std::vector<Sample> y;
  for (const int64_t row : nearest_inputs(s.height, s.new_height, window.y, window.height))
    for (const int64_t column : columns) {
      const auto pixel = x.begin() + bands * (row * s.width + column);
      y.insert(y.end(), pixel, pixel + bands);
    }
  return y;
}

// Applies f(colour, alpha) to every colour sample.
template <class F>
void map_colours(Picture& picture, const F& f) {
  const auto n = static_cast<size_t>(bands(picture.mode));
  for (size_t pixel = 0; pixel < picture.samples.size(); pixel += n) {
    const int alpha = picture.samples[pixel + n - 1];
    for (size_t i = pixel; i < pixel + n - 1; ++i)
      picture.samples[i] = static_cast<uint8_t>(f(picture.samples[i], alpha));
  }
}

// Transparent pixels must not bleed into their neighbours: Pillow's RGBA → RGBa, LA → La.
int multiplied(int colour, int alpha) {
  const int product = colour * alpha + 128;
  return ((product >> 8) + product) >> 8;
}

int divided(int colour, int alpha) {
  return alpha == 0 || alpha == 255 ? colour : std::min(255 * colour / alpha, 255);
}

void check_scaling(const Scaling& s) {
  const Box& window = s.window;
  check(s.new_width > 0 && s.new_height > 0 && window.width > 0 && window.height > 0 &&
            window.x >= 0 && window.y >= 0 && window.x <= s.new_width - window.width &&
            window.y <= s.new_height - window.height,
        "resize: window ", window.width, " x ", window.height, " at (", window.x, ", ", window.y,
        ") does not fit ", s.new_width, " x ", s.new_height);
  check(window.width <= kMaxPixels / window.height, "resize: ", s.width, " x ", s.height, " to ",
        s.new_width, " x ", s.new_height, " gives more than ", kMaxPixels, " pixels");
}

// Colours weighted by their alpha on the way in, and divided by it on the way out.
std::vector<uint8_t> resample_with_alpha(Picture picture, const Scaling& s, const Filter& filter) {
  map_colours(picture, multiplied);
  picture.samples = resample(picture.samples, bands(picture.mode), s, filter);
  map_colours(picture, divided);
  return std::move(picture.samples);
}

void resample_samples(const Picture& picture, const Scaling& s, const Filter& filter,
                      Picture& out) {
  if (picture.mode == Mode::grey_wide)
    out.wide = resample(picture.wide, s, filter);
  else if (picture.mode == Mode::grey_alpha || picture.mode == Mode::rgba)
    out.samples = resample_with_alpha(picture, s, filter);
  else
    out.samples = resample(picture.samples, bands(picture.mode), s, filter);
}

constexpr const char* kNames[] = {"nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"};

}  // namespace

const char* name(Interpolation interpolation) { return kNames[static_cast<size_t>(interpolation)]; }

Interpolation interpolation_from(const std::string& text) {
  for (size_t i = 0; i < std::size(kNames); ++i)
    if (text == kNames[i]) return static_cast<Interpolation>(i);
  fail("preprocess: unknown interpolation '", text,
       "'; known: nearest, lanczos, bilinear, bicubic, box, hamming");
}

Picture resize(const Picture& picture, int64_t width, int64_t height, const Box& window,
               Interpolation interpolation) {
  const Scaling s{picture.width, picture.height, width, height, window};
  check_complete("resize", picture);
  check_scaling(s);
  if (width == picture.width && height == picture.height) return crop(picture, window);
  Picture out{picture.mode, window.width, window.height, {}, {}, picture.palette};
  if (interpolation == Interpolation::nearest || picture.mode == Mode::bilevel ||
      picture.mode == Mode::palette) {
    const bool wide = picture.mode == Mode::grey_wide;
    if (wide) out.wide = take_nearest(picture.wide, 1, s);
    if (!wide) out.samples = take_nearest(picture.samples, bands(picture.mode), s);
  } else {
    resample_samples(picture, s, filter_of(interpolation), out);
  }
  return out;
}

Picture resize(const Picture& picture, int64_t width, int64_t height, Interpolation interpolation) {
  return resize(picture, width, height, {0, 0, width, height}, interpolation);
}

}  // namespace diptych
