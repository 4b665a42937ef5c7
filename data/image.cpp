// data/image.cpp — crops, flips and the transforms of training and evaluation.
#include "data/image.h"

#include <algorithm>
#include <cmath>

#include "tensor/factory.h"

namespace diptych {
namespace {

// Python's round(): halves go to the even neighbour.
int64_t round_half_even(double x) { return static_cast<int64_t>(std::nearbyint(x)); }

struct Size {
  int64_t width, height;
};

Size shortest_to(const Image& image, int64_t size) {
  check(size > 0 && image.width > 0 && image.height > 0, "resize: ", image.width, " x ",
        image.height, " to a short side of ", size);
  if (image.width <= image.height) return {size, size * image.height / image.width};
  return {size * image.width / image.height, size};
}

Box central(const Size& whole, int64_t size) {
  return {round_half_even(static_cast<double>(whole.width - size) / 2.0),
          round_half_even(static_cast<double>(whole.height - size) / 2.0), size, size};
}

// Pillow's convert("L"): ITU-R 601 luma in 16-bit fixed point.
uint8_t luma(const uint8_t* rgb) {
  return static_cast<uint8_t>((19595 * rgb[0] + 38470 * rgb[1] + 7471 * rgb[2] + 0x8000) >> 16);
}

// The box torchvision takes when ten draws did not fit.
Box fallback_box(int64_t width, int64_t height, double low, double high) {
  const double ratio = static_cast<double>(width) / static_cast<double>(height);
  int64_t w = width, h = height;
  if (ratio < low) h = round_half_even(static_cast<double>(w) / low);
  if (ratio > high) w = round_half_even(static_cast<double>(h) * high);
  return {(width - w) / 2, (height - h) / 2, w, h};
}

Tensor to_tensor(const Image& image, const Preprocess& how) {
  Tensor pixels = empty({how.channels, how.size, how.size});
  to_pixels(image, how, pixels.data<float>());
  return pixels;
}

}  // namespace

Image crop(const Image& image, const Box& box) {
  check(box.x >= 0 && box.y >= 0 && box.width > 0 && box.height > 0 &&
            box.x <= image.width - box.width && box.y <= image.height - box.height,
        "crop: box ", box.width, " x ", box.height, " at (", box.x, ", ", box.y,
        ") leaves the picture of ", image.width, " x ", image.height);
  Image out{box.width, box.height, {}};
  out.rgb.reserve(static_cast<size_t>(3 * box.width * box.height));
  for (int64_t y = box.y; y < box.y + box.height; ++y) {
    const uint8_t* row = image.rgb.data() + 3 * (y * image.width + box.x);
    out.rgb.insert(out.rgb.end(), row, row + 3 * box.width);
  }
  return out;
}

Image flip(const Image& image) {
  Image out = image;
  for (int64_t y = 0; y < image.height; ++y)
    for (int64_t x = 0; x < image.width; ++x)
      std::copy_n(image.rgb.data() + 3 * (y * image.width + image.width - 1 - x), 3,
                  out.rgb.data() + 3 * (y * image.width + x));
  return out;
}

Image resize_shortest(const Image& image, int64_t size) {
  const Size whole = shortest_to(image, size);
  return resize_bicubic(image, whole.width, whole.height);
}

Image center_crop(const Image& image, int64_t size) {
  return crop(image, central({image.width, image.height}, size));
}

Box random_resized_crop(int64_t width, int64_t height, PhiloxStream& random) {
  constexpr double kLow = 3.0 / 4.0, kHigh = 4.0 / 3.0;
  const double area = static_cast<double>(width) * static_cast<double>(height);
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double target = area * random.uniform(0.9, 1.0);
    const double ratio = std::exp(random.uniform(std::log(kLow), std::log(kHigh)));
    const int64_t w = round_half_even(std::sqrt(target * ratio));
    const int64_t h = round_half_even(std::sqrt(target / ratio));
    if (w <= 0 || w > width || h <= 0 || h > height) continue;
    const int64_t y = random.below(height - h + 1);
    return {random.below(width - w + 1), y, w, h};
  }
  return fallback_box(width, height, kLow, kHigh);
}

void to_pixels(const Image& image, const Preprocess& how, float* out) {
  check(how.channels == 1 || how.channels == 3, "preprocess: ", how.channels,
        " channels; there can be 1 or 3");
  check(image.width == how.size && image.height == how.size, "preprocess: the picture is ",
        image.width, " x ", image.height, ", the model takes ", how.size, " x ", how.size);
  const int64_t pixels = how.size * how.size;
  for (int64_t c = 0; c < how.channels; ++c) {
    const auto at = static_cast<size_t>(c);
    std::array<float, 256> table;
    for (size_t v = 0; v < table.size(); ++v)
      table[v] = (static_cast<float>(v) / 255.0f - how.mean[at]) / how.std[at];
    for (int64_t i = 0; i < pixels; ++i) {
      const uint8_t* rgb = image.rgb.data() + 3 * i;
      out[c * pixels + i] = table[how.channels == 1 ? luma(rgb) : rgb[c]];
    }
  }
}

Tensor preprocess(const Image& image, const Preprocess& how) {
  const Size whole = shortest_to(image, how.size);
  return to_tensor(resize_bicubic(image, whole.width, whole.height, central(whole, how.size)), how);
}

Tensor preprocess_training(const Image& image, const Preprocess& how, PhiloxStream& random) {
  const Box box = random_resized_crop(image.width, image.height, random);
  return to_tensor(resize_bicubic(crop(image, box), how.size, how.size), how);
}

}  // namespace diptych
