// tensor/rounding.h — stochastic rounding to 16 bits, on host and device alike.
//
// x lies between two neighbours of the narrow type, low ≤ x < high. It becomes `high` with
// probability (x - low) / (high - low), else `low`: what updates smaller than half a step add up to
// is right on average, where rounding to nearest forgets every one of them.
#pragma once

#include <bit>
#include <type_traits>

#include "tensor/philox.h"

namespace diptych {

namespace detail {

/// bf16 is the upper half of f32: the lower half, compared with 16 random bits, decides.
DIPTYCH_HD inline uint16_t bf16_bits_by_chance(uint32_t magnitude, uint32_t word) {
  const uint32_t rounded = (magnitude + (word >> 16)) >> 16;
  return static_cast<uint16_t>(rounded < 0x7f80u ? rounded : 0x7f7fu);  // stays finite
}

/// A step of f16 is 2¹³ of f32's; below 2⁻¹⁴ it is 2⁻²⁴, whatever the value.
DIPTYCH_HD inline uint16_t f16_bits_by_chance(uint32_t magnitude, uint32_t word) {
  if (magnitude < 0x38800000u) {
    const float steps = std::bit_cast<float>(magnitude) * 0x1p24f;
    const uint32_t low = static_cast<uint32_t>(steps);
    const float rest = steps - static_cast<float>(low);
    return static_cast<uint16_t>(low + (static_cast<float>(word >> 8) * 0x1p-24f < rest ? 1 : 0));
  }
  const uint32_t rounded = (magnitude - 0x38000000u + (word >> 19)) >> 13;
  return static_cast<uint16_t>(rounded < 0x7c00u ? rounded : 0x7bffu);
}

}  // namespace detail

/// x up or down to a neighbour in T, bf16 or f16, as a random word decides. What T can represent
/// stays as it is; what is finite stays finite, at the largest of T if need be; NaN and infinities
/// are kept.
template <class T>
DIPTYCH_HD T round_stochastic(float x, uint32_t word) {
  const uint32_t bits = std::bit_cast<uint32_t>(x), magnitude = bits & 0x7fffffffu;
  if (magnitude >= 0x7f800000u) return T(x);
  T y;
  y.bits = std::is_same_v<T, bf16> ? detail::bf16_bits_by_chance(magnitude, word)
                                   : detail::f16_bits_by_chance(magnitude, word);
  y.bits |= static_cast<uint16_t>((bits >> 16) & 0x8000u);
  return y;
}

/// n values from element `first` of an array on: element i takes word i of the sequence (seed,
/// stream).
template <class T>
void round_stochastic(uint64_t seed, uint64_t stream, int64_t first, const float* x, int64_t n,
                      T* y) {
  for (int64_t block = first / 4; 4 * block < first + n; ++block) {
    const Philox::Block words = Philox::at(seed, stream, static_cast<uint64_t>(block));
    for (int64_t j = 0; j < 4; ++j) {
      const int64_t i = 4 * block + j - first;
      if (0 <= i && i < n) y[i] = round_stochastic<T>(x[i], words[static_cast<size_t>(j)]);
    }
  }
}

}  // namespace diptych
