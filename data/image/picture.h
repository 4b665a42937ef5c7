// data/image/picture.h — a picture as its file holds it, in one of Pillow's modes: decoding, crops
// and resize.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace diptych {

/// What the samples of a picture are; Pillow's name behind each.
enum class Mode : uint8_t {
  bilevel,     ///< "1": 0 or 255
  palette,     ///< "P": an index into the palette
  grey,        ///< "L"
  grey_wide,   ///< "I": 32 bits wide, what a 16-bit grey PNG becomes
  grey_alpha,  ///< "LA"
  rgb,         ///< "RGB"
  rgba,        ///< "RGBA"
  cmyk         ///< "CMYK": ink, 255 covers the paper
};

/// Samples per pixel, 1 … 4.
int64_t bands(Mode);

/// A picture in its own mode. Pixel (x, y) has the samples
/// [bands(mode) · (y · width + x), … + bands(mode)).
struct Picture {
  Mode mode = Mode::rgb;
  int64_t width = 0, height = 0;
  std::vector<uint8_t> samples;
  std::vector<int32_t> wide;                    ///< instead of `samples` in mode grey_wide
  std::vector<std::array<uint8_t, 3>> palette;  ///< mode palette: 256 colours
};

/// Throws Error, starting with `op`, unless there are as many samples and colours as the mode and
/// the size ask for.
void check_complete(const char* op, const Picture&);

/// What a file may ask for before it is refused.
struct ImageLimits {
  /// width × height, read from the header before memory is spent. Pillow's: twice the 89,478,485
  /// from which on it warns.
  int64_t max_pixels = 178'956'970;
  /// Size of the file: so many pixels of four bytes, and 64 MiB for what stands beside them.
  int64_t max_bytes() const { return 4 * max_pixels + (int64_t{64} << 20); }
};

/// The formats, for messages.
inline constexpr const char* kPictureFormats = "PNG, JPEG, WebP, GIF, BMP, PNM or TGA";

/// Decodes a picture of one of these formats, recognised by content, to the samples Pillow 9.4
/// decodes: the first frame of several, the upper byte of 16-bit colours, transparency outside an
/// alpha band ignored, no rotation by EXIF, no colour profile. Throws Error, with the decoder's
/// reason, for anything incomplete or damaged (a cut file, any wrong checksum of a PNG, any
/// inconsistency libjpeg notices), and for what Pillow misreads. Formats other than PNG have no
/// checksum, so damage that still makes sense goes unnoticed. Memory beside the file: at most 12
/// bytes per pixel and some MiB, but for a lossless WebP made to take more: libwebp keeps up to
/// 65,536 sets of tables for it, hundreds of MiB. `name` appears in messages.
Picture decode_picture(std::string_view bytes, const std::string& name, const ImageLimits& = {});
Picture load_picture(const std::string& path, const ImageLimits& = {});

/// A rectangle of pixels.
struct Box {
  int64_t x = 0, y = 0, width = 0, height = 0;
};

Picture crop(const Picture&, const Box&);  ///< throws Error if the box leaves the picture
/// A width × height picture of zeros (black; colour 0 of a palette; white in CMYK) with this one in
/// the middle; the wider margin of an odd pair is right and below. Throws Error if it is larger.
Picture pad(const Picture&, int64_t width, int64_t height);

/// How pixels between pixels are made up; Pillow's resampling filters, in its numbering.
enum class Interpolation : uint8_t { nearest, lanczos, bilinear, bicubic, box, hamming };

const char* name(Interpolation);
/// Throws Error, listing the known names, for any other.
Interpolation interpolation_from(const std::string& name);

/// Bit for bit Pillow's Image.resize((width, height), filter) (libImaging/Resample.c): support
/// widened when shrinking, horizontal pass first, rounded after each pass. 8-bit samples have
/// 22-bit weights and are clipped, wide ones are summed in double; colours are weighted by their
/// alpha; modes bilevel and palette take the nearest pixel.
Picture resize(const Picture&, int64_t width, int64_t height,
               Interpolation = Interpolation::bicubic);
/// crop(resize(picture, width, height), window), computing only the window: a picture of
/// 1 × 16384 pixels costs no more than its crop.
Picture resize(const Picture&, int64_t width, int64_t height, const Box& window,
               Interpolation = Interpolation::bicubic);

}  // namespace diptych
