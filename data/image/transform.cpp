// data/image/transform.cpp — the transforms of training and evaluation: R × R pixels out of any
// picture.
#include "data/image/transform.h"

#include <algorithm>
#include <cmath>

#include "tensor/factory.h"
#include "tensor/kernels.h"

namespace diptych {
namespace {

// Python's round(): halves go to the even neighbour.
int64_t round_half_even(double x) { return static_cast<int64_t>(std::nearbyint(x)); }

struct Size {
  int64_t width, height;
};

void check_sizes(const Picture& picture, int64_t R) {
  check(R > 0 && picture.width > 0 && picture.height > 0, "preprocess: a picture of ",
        picture.width, " x ", picture.height, " for a model that takes ", R, " x ", R);
}

// torchvision's Resize(R).
Size shortest_to(const Picture& picture, int64_t R) {
  check_sizes(picture, R);
  if (picture.width <= picture.height) return {R, R * picture.height / picture.width};
  return {R * picture.width / picture.height, R};
}

// open_clip's ResizeKeepRatio(R, longest=1).
Size longest_to(const Picture& picture, int64_t R) {
  check_sizes(picture, R);
  const auto width = static_cast<double>(picture.width),
             height = static_cast<double>(picture.height);
  const double ratio = std::max(width / static_cast<double>(R), height / static_cast<double>(R));
  const Size size{round_half_even(width / ratio), round_half_even(height / ratio)};
  check(size.width > 0 && size.height > 0, "preprocess: a picture of ", picture.width, " x ",
        picture.height, " is too thin for resize mode longest: no pixel is left at ", R, " x ", R);
  return size;
}

// The middle R × R pixels.
Box central(const Size& whole, int64_t R, bool rounds_down) {
  const auto before = [&](int64_t side) {
    return rounds_down ? (side - R) / 2 : round_half_even(static_cast<double>(side - R) / 2.0);
  };
  return {before(whole.width), before(whole.height), R, R};
}

Box random_square(const Size& whole, int64_t R, PhiloxStream& random) {
  const int64_t y = random.below(whole.height - R + 1);
  return {random.below(whole.width - R + 1), y, R, R};
}

// The box torchvision takes when ten draws did not fit.
Box fallback_box(int64_t width, int64_t height, double low, double high) {
  const double ratio = static_cast<double>(width) / static_cast<double>(height);
  int64_t w = width, h = height;
  if (ratio < low) h = round_half_even(static_cast<double>(w) / low);
  if (ratio > high) w = round_half_even(static_cast<double>(h) * high);
  return {(width - w) / 2, (height - h) / 2, w, h};
}

// Pillow's convert("L"): ITU-R 601 luma in 16-bit fixed point.
uint8_t luma(const uint8_t* rgb) {
  return static_cast<uint8_t>((19595 * rgb[0] + 38470 * rgb[1] + 7471 * rgb[2] + 0x8000) >> 16);
}

void check_channels(const Preprocess& how) {
  check(how.channels == 1 || how.channels == 3, "preprocess: ", how.channels,
        " channels; there can be 1 or 3");
}

Picture training_view(const Picture& picture, const Preprocess& how, PhiloxStream& random) {
  if (how.training_crop == TrainingCrop::square) {
    const Size whole = shortest_to(picture, how.size);
    return resize(picture, whole.width, whole.height, random_square(whole, how.size, random),
                  how.interpolation);
  }
  const Box box = random_resized_crop(picture.width, picture.height, random);
  return resize(crop(picture, box), how.size, how.size, how.interpolation);
}

}  // namespace

const char* name(ResizeMode mode) {
  return mode == ResizeMode::squash    ? "squash"
         : mode == ResizeMode::longest ? "longest"
                                       : "shortest";
}

ResizeMode resize_mode_from(const std::string& text) {
  for (const ResizeMode mode : {ResizeMode::shortest, ResizeMode::longest, ResizeMode::squash})
    if (text == name(mode)) return mode;
  fail("preprocess: unknown resize mode '", text, "'; known: shortest, longest, squash");
}

const char* name(TrainingCrop crop) { return crop == TrainingCrop::square ? "square" : "resized"; }

TrainingCrop training_crop_from(const std::string& text) {
  for (const TrainingCrop crop : {TrainingCrop::resized, TrainingCrop::square})
    if (text == name(crop)) return crop;
  fail("preprocess: unknown training crop '", text, "'; known: resized, square");
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

void check_usable(const Preprocess& p) {
  for (size_t i = 0; i < p.mean.size(); ++i) {
    check(std::isfinite(p.mean[i]), "preprocess: mean ", i, " is ", p.mean[i]);
    check(std::isfinite(p.std[i]) && p.std[i] > 0, "preprocess: std ", i, " is ", p.std[i],
          ", it must be above 0");
  }
  check(p.shortest == 0 || p.shortest >= p.size, "preprocess: pictures are resized to ", p.shortest,
        " before a crop of ", p.size);
}

RgbImage square_view(const Picture& picture, const Preprocess& how) {
  const int64_t R = how.size;
  const Interpolation by = how.interpolation;
  if (how.resize_mode == ResizeMode::squash) return to_rgb(resize(picture, R, R, by));
  if (how.resize_mode == ResizeMode::longest) {
    const Size whole = longest_to(picture, R);
    return to_rgb(pad(resize(picture, whole.width, whole.height, by), R, R));
  }
  const Size whole = shortest_to(picture, std::max(R, how.shortest));
  return to_rgb(
      resize(picture, whole.width, whole.height, central(whole, R, how.crop_rounds_down), by));
}

Tensor to_bytes(const RgbImage& image, const Preprocess& how) {
  check_channels(how);
  check(image.width == how.size && image.height == how.size, "preprocess: the picture is ",
        image.width, " x ", image.height, ", the model takes ", how.size, " x ", how.size);
  const Tensor bytes = empty({how.size, how.size, how.channels}, DType::u8);
  auto* out = bytes.data<uint8_t>();
  if (how.channels == 3) {
    std::copy(image.rgb.begin(), image.rgb.end(), out);
  } else {
    for (int64_t i = 0; i < bytes.numel(); ++i) out[i] = luma(image.rgb.data() + 3 * i);
  }
  return bytes;
}

Tensor evaluation_bytes(const Picture& picture, const Preprocess& how) {
  return to_bytes(square_view(picture, how), how);
}

Tensor training_bytes(const Picture& picture, const Preprocess& how, PhiloxStream& random) {
  return to_bytes(to_rgb(training_view(picture, how, random)), how);
}

Tensor pixel_table(const Preprocess& how) {
  check_channels(how);
  const Tensor table = empty({how.channels, 256});
  auto* out = table.data<float>();
  for (size_t c = 0; c < static_cast<size_t>(how.channels); ++c) {
    for (int v = 0; v < 256; ++v)
      *out++ = (static_cast<float>(v) / 255.0f - how.mean[c]) / how.std[c];
  }
  return table;
}

Tensor normalized(const Tensor& bytes, const Tensor& table) {
  check(bytes.dtype() == DType::u8 && bytes.rank() == 4 && bytes.dim(3) == table.dim(0),
        "preprocess: needs pictures u8 (B, R, R, ", table.dim(0), "), got ", bytes.dtype(), ' ',
        bytes.shape());
  const Tensor there = bytes.to(table.device()).contiguous();
  Tensor pixels = empty({bytes.dim(0), bytes.dim(3), bytes.dim(1), bytes.dim(2)}, table.dtype(),
                        table.device());
  kernel::normalize_pixels(table.device(), there, table, pixels);
  return pixels;
}

Tensor preprocess(const Picture& picture, const Preprocess& how) {
  const Tensor bytes = evaluation_bytes(picture, how).view({1, how.size, how.size, how.channels});
  return normalized(bytes, pixel_table(how)).select(0, 0);
}

Tensor preprocess(const RgbImage& image, const Preprocess& how) {
  return preprocess(to_picture(image), how);
}

}  // namespace diptych
