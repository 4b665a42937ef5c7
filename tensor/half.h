// tensor/half.h — the two 16-bit floating-point storage types, and the type kernels compute in.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

// Functions for host and device alike. Where they use std::bit_cast and std::array, nvcc wants
// --expt-relaxed-constexpr. On a device both roundings are one instruction each.
#if defined(__CUDACC__)
#define DIPTYCH_HD __host__ __device__
#else
#define DIPTYCH_HD
#endif

namespace diptych {

namespace detail {

/// IEEE binary32 → binary16 bits, round to nearest even; NaN stays NaN, overflow becomes infinity.
DIPTYCH_HD inline uint16_t f32_to_f16_bits(float x) {
#if defined(__CUDA_ARCH__)
  uint16_t rounded;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(rounded) : "f"(x));
  return rounded;
#else
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u)
    return static_cast<uint16_t>(sign | 0x7e00u | ((bits >> 13) & 0x3ffu));
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // ≥ 65520
  if (magnitude < 0x38800000u) {  // below 2⁻¹⁴: subnormal; the addition rounds at bit 2⁻²⁴
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000u));
  }
  const uint32_t odd = (magnitude >> 13) & 1u;
  return static_cast<uint16_t>(sign | ((magnitude - 0x38000000u + 0xfffu + odd) >> 13));
#endif
}

DIPTYCH_HD inline float f16_bits_to_f32(uint16_t h) {
#if defined(__CUDA_ARCH__)
  float wide;
  asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(h));
  return wide;
#else
  const uint32_t sign = (h & 0x8000u) << 16;
  const uint32_t exponent = (h >> 10) & 0x1fu;
  const uint32_t mantissa = h & 0x3ffu;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent == 0) {
    const float value = static_cast<float>(mantissa) * 0x1p-24f;
    return sign ? -value : value;
  }
  return std::bit_cast<float>(sign | ((exponent + 112u) << 23) | (mantissa << 13));
#endif
}

/// binary32 → upper 16 bits, round to nearest even; NaN stays a quiet NaN.
DIPTYCH_HD inline uint16_t f32_to_bf16_bits(float x) {
#if defined(__CUDA_ARCH__)
  uint16_t rounded;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(rounded) : "f"(x));
  return rounded;
#else
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
#endif
}

#if defined(__F16C__) && !defined(__CUDACC__)
// Operands of the two instructions, called as builtins: <immintrin.h> is 46,000 lines.
typedef float Floats __attribute__((vector_size(16)));
typedef short Halves __attribute__((vector_size(16)));
#endif

}  // namespace detail

/// IEEE 754 binary16, storage only: 1 sign, 5 exponent, 10 mantissa bits; largest finite value
/// 65504.
struct f16 {
  uint16_t bits = 0;

  f16() = default;
#if defined(__F16C__) && !defined(__CUDACC__)
  explicit f16(float x)  // 0: round to nearest even
      : bits(static_cast<uint16_t>(__builtin_ia32_vcvtps2ph(detail::Floats{x}, 0)[0])) {}
  operator float() const {
    return __builtin_ia32_vcvtph2ps(detail::Halves{static_cast<short>(bits)})[0];
  }
#else
  DIPTYCH_HD explicit f16(float x) : bits(detail::f32_to_f16_bits(x)) {}
  DIPTYCH_HD operator float() const { return detail::f16_bits_to_f32(bits); }
#endif
};

/// bfloat16, storage only: the upper half of a float; same range, 8 bits of precision.
struct bf16 {
  uint16_t bits = 0;

  bf16() = default;
  DIPTYCH_HD explicit bf16(float x) : bits(detail::f32_to_bf16_bits(x)) {}
  DIPTYCH_HD operator float() const {
    return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
  }
};

/// The type a kernel computes in for elements of type T: f32 for the 16-bit types, else T itself.
template <class T>
using acc_t = std::conditional_t<std::is_same_v<T, f16> || std::is_same_v<T, bf16>, float, T>;

}  // namespace diptych
