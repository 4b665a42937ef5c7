// data/image/transform.h — pictures as a model sees them: RGB, and the transforms of training and
// evaluation.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "data/image/picture.h"
#include "tensor/philox.h"
#include "tensor/tensor.h"

namespace diptych {

/// A picture of 8-bit RGB triples, row by row from the top left: rgb[3 (y width + x) + channel].
struct RgbImage {
  int64_t width = 0, height = 0;
  std::vector<uint8_t> rgb;
};

/// Pillow's convert("RGB"): alpha is dropped, wide samples are clipped to 0 … 255. To be done last:
/// a picture is resized in its own mode.
RgbImage to_rgb(Picture);
Picture to_picture(RgbImage);

std::string encode_png(const RgbImage&);
void save_png(const std::string& path, const RgbImage&);

/// torchvision's RandomResizedCrop: an area of 90-100 % of the picture (open_clip's setting) with
/// log-uniform ratio 3/4 … 4/3; after ten misses the central crop with the nearest allowed ratio.
Box random_resized_crop(int64_t width, int64_t height, PhiloxStream&);

/// How evaluation makes an oblong picture square; open_clip's names.
enum class ResizeMode : uint8_t {
  shortest,  ///< short side to R, or more; long side to ⌊… long / short⌋; central R × R (OpenAI)
  longest,  ///< long side to R, the rest filled with zeros, half on either side
  squash    ///< both sides to R
};

const char* name(ResizeMode);
/// Throws Error, listing the known names, for any other.
ResizeMode resize_mode_from(const std::string& name);

/// What part of a picture training sees.
enum class TrainingCrop : uint8_t {
  resized,  ///< random_resized_crop, resized to R × R (open_clip)
  square    ///< short side to R, then any R × R of it (Radford et al., 2021, section 2.3)
};

const char* name(TrainingCrop);
/// Throws Error, listing the known names, for any other.
TrainingCrop training_crop_from(const std::string& name);

/// How a picture becomes model input. Stored with the model.
struct Preprocess {
  int64_t size = 224;  ///< R
  std::array<float, 3> mean = {0.48145466f, 0.4578275f, 0.40821073f};
  std::array<float, 3> std = {0.26862954f, 0.26130258f, 0.27577711f};
  int64_t channels = 3;  ///< 3 = RGB; 1 = Pillow's luma, normalised by mean[0], std[0]
  ResizeMode resize_mode = ResizeMode::shortest;
  int64_t shortest = 0;  ///< of mode shortest: the short side before the crop, ≥ R; 0 means R
  Interpolation interpolation = Interpolation::bicubic;
  /// Half a margin of the crop: half a pixel is dropped (transformers), or goes to the even side
  /// (torchvision, so OpenAI and open_clip).
  bool crop_rounds_down = false;
  TrainingCrop training_crop = TrainingCrop::resized;
};

/// Throws Error if no picture can come out of it: a standard deviation that is not above 0, a value
/// that is not finite, a short side below R.
void check_usable(const Preprocess&);

/// The R × R pixels of evaluation. Resized and cropped in the picture's own mode and then made RGB,
/// in OpenAI's order.
RgbImage square_view(const Picture&, const Preprocess&);
/// Of an R × R picture: red, green and blue, or luma → u8 (R, R, C). Pictures travel like this;
/// what a model takes, four times as large, is made of them on its device.
Tensor to_bytes(const RgbImage&, const Preprocess&);
/// The evaluation transform, so far: to_bytes(square_view(…)).
Tensor evaluation_bytes(const Picture&, const Preprocess&);
/// The training transform, so far: a random crop, resized in the picture's own mode → u8 (R, R, C).
Tensor training_bytes(const Picture&, const Preprocess&, PhiloxStream&);

/// What each value becomes in each channel: (value / 255 - mean) / std → f32 (C, 256).
Tensor pixel_table(const Preprocess&);
/// u8 (B, R, R, C), wherever they are → (B, C, R, R) on the table's device, of its dtype.
Tensor normalized(const Tensor& bytes, const Tensor& table);
/// The whole evaluation transform → (C, R, R) f32.
Tensor preprocess(const Picture&, const Preprocess&);
Tensor preprocess(const RgbImage&, const Preprocess&);

}  // namespace diptych
