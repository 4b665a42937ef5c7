// data/image/packing.h — rows of pixels as BMP, TGA and PNM pack them.
#pragma once

#include <span>

#include "data/image/picture.h"

namespace diptych {

/// What a pixel is in the file; bytes are named in their order there, x is a byte of no meaning.
enum class Packing : uint8_t {
  bit,     ///< a palette's index, the first pixel uppermost in its byte
  light,   ///< one bit: 1 is white
  ink,     ///< one bit: 1 is black
  nibble,  ///< four bits of an index, the first pixel uppermost
  byte,    ///< an index or a grey
  grey_alpha,
  rgb,
  bgr15,  ///< little-endian 16 bits: an unused one, 5 each of red, green and blue
  bgr16,  ///< 5 of red, 6 of green, 5 of blue
  bgr,
  bgrx,
  xbgr,
  abgr,
  bgra,
  rgba
};

/// Bytes of a row without what pads it.
int64_t row_bytes(Packing, int64_t width);

/// Unpacks a row of row_bytes() to bands(mode) · width samples, as Pillow does.
void unpack(Packing, std::span<const uint8_t> row, int64_t width, uint8_t* samples);

}  // namespace diptych
