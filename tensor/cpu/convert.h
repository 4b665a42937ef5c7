// tensor/cpu/convert.h — arrays from one element type to another, and rows in the type kernels
// compute in.
#pragma once

#include <cstdint>
#include <type_traits>

#include "tensor/cast.h"
#include "tensor/cpu/simd.h"

namespace diptych::cpu {

// N floats from 16-bit memory and back. The compiler vectorises neither rounding by itself.

template <int N>
using Floats = typename Vector<float, N>::type;

namespace detail {
// With a mask, since those without start from an undefined register, and g++ 12 warns.
constexpr uint16_t kAll = 0xffff;
constexpr int kNearestEven = 0;
constexpr int kSubnormal = 0x20;  // of the classes of numbers
template <int N>
using Bits = typename Vector<uint32_t, N>::type;
template <int N>
using HalfBits = typename Vector<uint16_t, N>::type;
}  // namespace detail

template <int N>
inline Floats<N> load_floats(const bf16* p) {
#if defined(__AVX512F__)
  if constexpr (N == 16) {  // g++ would widen the two halves one by one
    const __m256i half = _mm256_loadu_si256((const __m256i*)p);
    return _mm512_castsi512_ps(
        _mm512_maskz_slli_epi32(detail::kAll, _mm512_maskz_cvtepu16_epi32(detail::kAll, half), 16));
  }
#endif
  detail::HalfBits<N> bits;
  std::memcpy(&bits, p, sizeof bits);
  return reinterpret_cast<Floats<N>>(__builtin_convertvector(bits, detail::Bits<N>) << 16);
}

template <int N>
inline void store_floats(bf16* p, const Floats<N>& v) {
#if defined(__AVX512BF16__) && defined(__AVX512DQ__)
  if constexpr (N == 16) {  // the instruction takes subnormal numbers for zero
    if (_mm512_fpclass_ps_mask(v, detail::kSubnormal) == 0) [[likely]] {
      const auto rounded = _mm512_cvtneps_pbh(v);
      std::memcpy(static_cast<void*>(p), &rounded, sizeof rounded);
      return;
    }
  }
#endif
  const auto bits = reinterpret_cast<detail::Bits<N>>(v), upper = bits >> 16;
  const auto nearest = (bits + 0x7fff + (upper & 1)) >> 16;
  const auto chosen = (bits & 0x7fffffff) > 0x7f800000 ? (upper | 0x40) : nearest;
  const auto rounded = __builtin_convertvector(chosen, detail::HalfBits<N>);
  std::memcpy(static_cast<void*>(p), &rounded, sizeof rounded);
}

/// a, then b: for two vectors at once the test and the rounding cost what they do for one.
template <int N>
inline void store_floats(bf16* p, const Floats<N>& a, const Floats<N>& b) {
#if defined(__AVX512BF16__) && defined(__AVX512DQ__)
  if constexpr (N == 16) {
    const auto subnormal = _mm512_fpclass_ps_mask(a, detail::kSubnormal) |
                           _mm512_fpclass_ps_mask(b, detail::kSubnormal);
    if (subnormal == 0) [[likely]] {
      const auto rounded = _mm512_cvtne2ps_pbh(b, a);
      std::memcpy(static_cast<void*>(p), &rounded, sizeof rounded);
      return;
    }
  }
#endif
  store_floats<N>(p, a);
  store_floats<N>(p + N, b);
}

template <int N>
inline Floats<N> load_floats(const f16* p) {
  Floats<N> v;
#if defined(__AVX512F__)
  if constexpr (N == 16)
    return _mm512_maskz_cvtph_ps(detail::kAll, _mm256_loadu_si256((const __m256i*)p));
#endif
#if defined(__F16C__) && defined(__AVX2__)
  if constexpr (N == 8) return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)p));
#endif
  for (int l = 0; l < N; ++l) v[l] = p[l];
  return v;
}

template <int N>
inline void store_floats(f16* p, const Floats<N>& v) {
#if defined(__AVX512F__)
  if constexpr (N == 16)
    return _mm256_storeu_si256((__m256i*)p,
                               _mm512_maskz_cvtps_ph(detail::kAll, v, detail::kNearestEven));
#endif
#if defined(__F16C__) && defined(__AVX2__)
  if constexpr (N == 8)
    return _mm_storeu_si128((__m128i*)p, _mm256_cvtps_ph(v, detail::kNearestEven));
#endif
  for (int l = 0; l < N; ++l) p[l] = f16(v[l]);
}

/// y[i] = x[i]; the arrays do not overlap.
template <class From, class To>
inline void convert(const From* __restrict x, int64_t n, To* __restrict y) {
  int64_t i = 0;
  const auto vectors = [&]<int N>(std::integral_constant<int, N>) {
    [[maybe_unused]] Floats<N> v;
    if constexpr (std::is_same_v<To, float> && sizeof(From) == 2) {
      for (; i + N <= n; i += N) std::memcpy(y + i, &(v = load_floats<N>(x + i)), sizeof v);
    } else if constexpr (std::is_same_v<From, float> && sizeof(To) == 2) {
      if constexpr (std::is_same_v<To, bf16>)
        for (; i + 2 * N <= n; i += 2 * N)
          store_floats<N>(y + i, load_vector<N>(x + i), load_vector<N>(x + i + N));
      for (; i + N <= n; i += N) store_floats<N>(y + i, load_vector<N>(x + i));
    }
  };
  vectors(std::integral_constant<int, kLanes<float>>{});
  if constexpr (kLanes < float >> 8) vectors(std::integral_constant<int, 8>{});
  for (; i < n; ++i) y[i] = cast<To>(x[i]);
}

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
