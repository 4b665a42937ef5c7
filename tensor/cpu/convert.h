// tensor/cpu/convert.h — arrays from one element type to another, and rows in the type kernels
// compute in.
#pragma once

#if defined(__F16C__)
#include <immintrin.h>
#endif

#include <cstdint>
#include <type_traits>

#include "tensor/cast.h"

namespace diptych::cpu {

/// y[i] = x[i]; the arrays do not overlap.
template <class From, class To>
inline void convert(const From* __restrict x, int64_t n, To* __restrict y) {
  for (int64_t i = 0; i < n; ++i) y[i] = cast<To>(x[i]);
}

#if defined(__F16C__)
// The compiler does not vectorise the scalar conversions by itself.
inline void convert(const f16* __restrict x, int64_t n, float* __restrict y) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x + i));
    _mm256_storeu_ps(y + i, _mm256_cvtph_ps(half));
  }
  for (; i < n; ++i) y[i] = x[i];
}

inline void convert(const float* __restrict x, int64_t n, f16* __restrict y) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m128i half = _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(y + i), half);
  }
  for (; i < n; ++i) y[i] = f16(x[i]);
}
#endif

// Kernels are loops over f32 or f64. These three stand at both ends of such a loop: for f32 and f64
// they cost nothing, for the 16-bit types they convert through `room`, n elements of scratch.
//
//   const A* in = widen(x, n, room_in);
//   A* out = landing(y, room_out);
//   … compute out from in …
//   narrow(out, n, y);

template <class T>
inline const acc_t<T>* widen(const T* x, [[maybe_unused]] int64_t n,
                             [[maybe_unused]] acc_t<T>* room) {
  if constexpr (std::is_same_v<T, acc_t<T>>) {
    return x;
  } else {
    convert(x, n, room);
    return room;
  }
}

template <class T>
inline acc_t<T>* landing([[maybe_unused]] T* y, [[maybe_unused]] acc_t<T>* room) {
  if constexpr (std::is_same_v<T, acc_t<T>>) {
    return y;
  } else {
    return room;
  }
}

template <class T>
inline void narrow([[maybe_unused]] const acc_t<T>* x, [[maybe_unused]] int64_t n,
                   [[maybe_unused]] T* y) {
  if constexpr (!std::is_same_v<T, acc_t<T>>) convert(x, n, y);
}

/// y = factor x for a short row. Such rows are short and their length is nearly always a multiple
/// of 8: blocks of constant length spare a call of memcpy for each.
template <class From, class To, class A>
inline void scale_row(const From* x, int64_t n, A factor, To* y) {
  constexpr int64_t kBlock = 8;
  int64_t i = 0;
  for (; i + kBlock <= n; i += kBlock) {
    A block[kBlock];
    convert(x + i, kBlock, block);
    for (A& v : block) v *= factor;
    convert(block, kBlock, y + i);
  }
  for (; i < n; ++i) y[i] = cast<To>(static_cast<A>(x[i]) * factor);
}

}  // namespace diptych::cpu
