// tensor/cpu/factor.h — the form in which the factors of a product reach the innermost loop.
//
// f32 and f64 stay as they are. f16, and bf16 on most processors, becomes f32 while it is packed.
// Where the processor multiplies bf16 itself (AVX-512 BF16) two neighbouring terms of a sum travel
// as one element, a BfPair: half the memory, half the instructions.
#pragma once

#include <type_traits>

#include "tensor/cpu/simd.h"
#include "tensor/half.h"

namespace diptych::cpu {

/// Terms 2 k and 2 k + 1 of one row of a or one column of b. Behind the last of an odd number of
/// terms stands a zero.
struct BfPair {
  bf16 even, odd;
};

/// Pairs in a register are bits.
template <int Lanes>
struct Vector<BfPair, Lanes> {
  typedef int type __attribute__((vector_size(Lanes * sizeof(BfPair))));
};

/// Terms of a sum in one element of a factor.
template <class P>
constexpr int kTerms = std::is_same_v<P, BfPair> ? 2 : 1;

/// The type of the sums of products of P.
template <class P>
using sum_t = std::conditional_t<std::is_same_v<P, BfPair>, float, P>;

/// What operands of type T become.
#if defined(__AVX512BF16__)
template <class T>
using factor_t = std::conditional_t<std::is_same_v<T, bf16>, BfPair, acc_t<T>>;
#else
template <class T>
using factor_t = acc_t<T>;
#endif

/// An element for every lane. For f32 and f64 the compiler does it inside the multiplication.
template <class P>
inline P spread(const P* p) {
  return *p;
}

/// sum + x y
template <class X, class Y>
inline Y multiply_add(const X& x, const Y& y, const Y& sum) {
  return sum + x * y;
}

#if defined(__AVX512BF16__)
inline vec<BfPair> spread(const BfPair* p) {
  int bits;
  std::memcpy(&bits, p, sizeof bits);
  return vec<BfPair>{} + bits;
}

/// (sum + x.odd y.odd) + x.even y.even, two fused multiply-adds: each rounds to nearest even, takes
/// subnormal numbers for zero and returns zero for them. Infinities and NaN are those of IEEE.
inline vec<float> multiply_add(const vec<BfPair>& x, const vec<BfPair>& y, const vec<float>& sum) {
  return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(x), reinterpret_cast<__m512bh>(y));
}
#endif

}  // namespace diptych::cpu
