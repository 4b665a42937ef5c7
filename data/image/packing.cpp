// data/image/packing.cpp — rows of pixels, unpacked (Pillow's libImaging/Unpack.c).
#include "data/image/packing.h"

namespace diptych {
namespace {

// Of pixels made of bytes: how many, and which of them each sample is.
struct ByteOrder {
  int64_t bytes;
  int64_t samples;
  std::array<int64_t, 4> from;
};

ByteOrder byte_order(Packing packing) {
  switch (packing) {
    case Packing::grey_alpha:
      return {2, 2, {0, 1}};
    case Packing::rgb:
      return {3, 3, {0, 1, 2}};
    case Packing::bgr:
      return {3, 3, {2, 1, 0}};
    case Packing::bgrx:
      return {4, 3, {2, 1, 0}};
    case Packing::xbgr:
      return {4, 3, {3, 2, 1}};
    case Packing::abgr:
      return {4, 4, {3, 2, 1, 0}};
    case Packing::bgra:
      return {4, 4, {2, 1, 0, 3}};
    case Packing::rgba:
      return {4, 4, {0, 1, 2, 3}};
    default:
      return {1, 1, {0}};
  }
}

int64_t bits_of(Packing packing) {
  switch (packing) {
    case Packing::bit:
    case Packing::light:
    case Packing::ink:
      return 1;
    case Packing::nibble:
      return 4;
    case Packing::bgr15:
    case Packing::bgr16:
      return 16;
    default:
      return 8 * byte_order(packing).bytes;
  }
}

void unpack_bytes(const ByteOrder& order, const uint8_t* in, int64_t width, uint8_t* out) {
  for (int64_t x = 0; x < width; ++x, in += order.bytes)
    for (int64_t k = 0; k < order.samples; ++k) *out++ = in[order.from[static_cast<size_t>(k)]];
}

// Less than a byte each: the value in `depth` bits, times `scale`, plus `offset`, modulo 256.
void unpack_bits(int64_t depth, int scale, int offset, const uint8_t* in, int64_t width,
                 uint8_t* out) {
  const int mask = (1 << depth) - 1;
  for (int64_t x = 0; x < width; ++x) {
    const int64_t at = x * depth;
    const int value = in[at / 8] >> (8 - depth - at % 8) & mask;
    out[x] = static_cast<uint8_t>(value * scale + offset);
  }
}

void unpack_words(int green_bits, const uint8_t* in, int64_t width, uint8_t* out) {
  const auto sample = [](int word, int shift, int bits) {
    const int most = (1 << bits) - 1;
    return static_cast<uint8_t>((word >> shift & most) * 255 / most);
  };
  for (int64_t x = 0; x < width; ++x) {
    const int word = in[2 * x] | in[2 * x + 1] << 8;
    *out++ = sample(word, 5 + green_bits, 5);
    *out++ = sample(word, 5, green_bits);
    *out++ = sample(word, 0, 5);
  }
}

}  // namespace

int64_t row_bytes(Packing packing, int64_t width) { return (width * bits_of(packing) + 7) / 8; }

void unpack(Packing packing, std::span<const uint8_t> row, int64_t width, uint8_t* samples) {
  switch (packing) {
    case Packing::bit:
      return unpack_bits(1, 1, 0, row.data(), width, samples);
    case Packing::light:
      return unpack_bits(1, 255, 0, row.data(), width, samples);
    case Packing::ink:
      return unpack_bits(1, -255, 255, row.data(), width, samples);
    case Packing::nibble:
      return unpack_bits(4, 1, 0, row.data(), width, samples);
    case Packing::bgr15:
      return unpack_words(5, row.data(), width, samples);
    case Packing::bgr16:
      return unpack_words(6, row.data(), width, samples);
    default:
      return unpack_bytes(byte_order(packing), row.data(), width, samples);
  }
}

}  // namespace diptych
