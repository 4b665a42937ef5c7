// data/image.h — pictures: decoding hostile files, Pillow's resize, crops, and the pixels a model
// sees.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/philox.h"
#include "tensor/tensor.h"

namespace diptych {

/// A picture of 8-bit RGB triples, row by row from the top left: rgb[3 (y width + x) + channel].
struct Image {
  int64_t width = 0, height = 0;
  std::vector<uint8_t> rgb;
};

/// What a file may ask for before it is refused.
struct ImageLimits {
  int64_t max_pixels = 25'000'000;        ///< width × height, read from the header before decoding
  int64_t max_bytes = int64_t{64} << 20;  ///< size of the file
};

/// Decodes a JPEG or PNG, recognised by content. Alpha is dropped, palettes and grey become RGB,
/// 16-bit samples keep their upper byte, as Pillow's convert("RGB") does. A truncated file and a
/// PNG with any wrong checksum throw Error: "image: 'x.png': truncated (no IEND chunk)". JPEG has
/// no checksum, so damage inside its compressed data can go unnoticed. `name` appears in messages.
Image decode_image(std::string_view bytes, const std::string& name, const ImageLimits& = {});
Image load_image(const std::string& path, const ImageLimits& = {});

/// Throws Error unless `bytes` is a complete JPEG or PNG within the limits: the check that runs
/// before the decoder sees a byte. Returns the number of pixels.
int64_t check_image_file(std::string_view bytes, const std::string& name, const ImageLimits&);

std::string encode_png(const Image&);
void save_png(const std::string& path, const Image&);

/// A rectangle of pixels.
struct Box {
  int64_t x = 0, y = 0, width = 0, height = 0;
};

Image crop(const Image&, const Box&);  ///< throws Error if the box leaves the picture
Image flip(const Image&);              ///< left ↔ right

/// Bicubic resize, bit for bit Pillow's Image.resize((width, height), BICUBIC): a = -1/2, support
/// widened when shrinking, 22-bit weights, horizontal pass first, clipped to 8 bits after each
/// pass.
Image resize_bicubic(const Image&, int64_t width, int64_t height);
/// crop(resize_bicubic(image, width, height), window), computing only the window: a picture of
/// 1 × 16384 pixels costs no more than its crop.
Image resize_bicubic(const Image&, int64_t width, int64_t height, const Box& window);
/// Short side becomes `size`, long side ⌊size · long / short⌋, as torchvision's Resize(size).
Image resize_shortest(const Image&, int64_t size);
/// The middle size × size pixels; odd margins round half to even, as torchvision's CenterCrop.
Image center_crop(const Image&, int64_t size);

/// torchvision's RandomResizedCrop: an area of 90-100 % of the picture (open_clip's setting) with
/// log-uniform ratio 3/4 … 4/3; after ten misses the central crop with the nearest allowed ratio.
Box random_resized_crop(int64_t width, int64_t height, PhiloxStream&);

/// How a picture becomes model input. Stored with the model.
struct Preprocess {
  int64_t size = 224;  ///< R
  std::array<float, 3> mean = {0.48145466f, 0.4578275f, 0.40821073f};
  std::array<float, 3> std = {0.26862954f, 0.26130258f, 0.27577711f};
  int64_t channels = 3;  ///< 3 = RGB; 1 = Pillow's luma, normalised by mean[0], std[0]
};

/// (value / 255 - mean) / std of an R × R picture into out (C, R, R).
void to_pixels(const Image&, const Preprocess&, float* out);
/// The evaluation transform: short side to R, central crop → (C, R, R) f32.
Tensor preprocess(const Image&, const Preprocess&);
/// The training transform: random_resized_crop, resized to R × R → (C, R, R) f32.
Tensor preprocess_training(const Image&, const Preprocess&, PhiloxStream&);

}  // namespace diptych
