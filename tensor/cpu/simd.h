// tensor/cpu/simd.h — the vector type of this build, and row sums that use it.
#pragma once

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include <cstdint>
#include <cstring>
#include <limits>

namespace diptych::cpu {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

template <class T, int Lanes>
struct Vector {
  typedef T type __attribute__((vector_size(Lanes * sizeof(T))));
};

template <class T>
constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(T));

template <class T>
using vec = typename Vector<T, kLanes<T>>::type;

/// n rounded up to whole vectors.
template <class A>
inline int64_t padded(int64_t n) {
  return (n + kLanes<A> - 1) / kLanes<A> * kLanes<A>;
}

/// A vector of any length.
template <int Lanes, class T>
inline typename Vector<T, Lanes>::type load_vector(const T* p) {
  typename Vector<T, Lanes>::type v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

template <class T>
inline vec<T> load(const T* p) {
  return load_vector<kLanes<T>>(p);
}

template <class T>
inline void store(T* p, const vec<T>& v) {
  std::memcpy(p, &v, sizeof v);
}

/// n ≤ kLanes elements and zeros behind them.
template <class T>
inline vec<T> load_some(const T* p, int64_t n) {
  T room[kLanes<T>] = {};
  for (int64_t l = 0; l < n; ++l) room[l] = p[l];
  return load(room);
}

/// The first n ≤ kLanes elements of v.
template <class T>
inline void store_some(T* p, const vec<T>& v, int64_t n) {
  T room[kLanes<T>];
  store(room, v);
  for (int64_t l = 0; l < n; ++l) p[l] = room[l];
}

#if defined(__AVX512F__)
// Masks, which the compiler does not find by itself.
inline vec<float> load_some(const float* p, int64_t n) {
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p);
}
inline void store_some(float* p, const vec<float>& v, int64_t n) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), v);
}
#elif defined(__AVX2__)
inline __m256i first_lanes(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline vec<float> load_some(const float* p, int64_t n) {
  return _mm256_maskload_ps(p, first_lanes(n));
}
inline void store_some(float* p, const vec<float>& v, int64_t n) {
  _mm256_maskstore_ps(p, first_lanes(n), v);
}
#endif

// Floating-point addition is not associative, so the compiler may not vectorise a sum. These fix an
// order that suits vectors: interleaved sums, then a tree. It depends on n alone.

struct Sum {
  template <class V>
  V operator()(const V& a, const V& b) const {
    return a + b;
  }
};

/// The larger one; NaN if either is.
struct MaxOrNan {
  template <class V>
  V operator()(const V& a, const V& b) const {
    return ((b > a) | (b != b)) ? b : a;
  }
};

/// The larger one; a, if b is NaN.
struct Max {
  template <class V>
  V operator()(const V& a, const V& b) const {
    return b > a ? b : a;
  }
};

namespace detail {

template <class T, int Lanes, class Combine>
inline T fold_vector(const typename Vector<T, Lanes>::type& v, const Combine& combine) {
  if constexpr (Lanes == 2) {
    return combine(T(v[0]), T(v[1]));
  } else {
    typename Vector<T, Lanes / 2>::type half[2];
    std::memcpy(half, &v, sizeof v);
    return fold_vector<T, Lanes / 2>(combine(half[0], half[1]), combine);
  }
}

/// The first n lanes of v, then `rest`.
template <class T>
inline vec<T> keep_some(const vec<T>& v, int64_t n, T rest) {
  T room[kLanes<T>];
  store(room, v);
  for (int64_t l = n; l < kLanes<T>; ++l) room[l] = rest;
  return load(room);
}

}  // namespace detail

/// combine(…) over term(x[i], …), i < n, starting from `start`. Combine and term are called with
/// vectors; x … are any number of arrays.
template <class T, class Combine, class Term, class... Arrays>
inline T fold(int64_t n, T start, const Combine& combine, const Term& term, const Arrays*... x) {
  constexpr int64_t kStep = kLanes<T>;
  vec<T> even = vec<T>{} + start, odd = even;
  int64_t i = 0;
  for (; i + 2 * kStep <= n; i += 2 * kStep) {
    even = combine(even, vec<T>(term(load(x + i)...)));
    odd = combine(odd, vec<T>(term(load(x + i + kStep)...)));
  }
  if (i + kStep <= n) {
    even = combine(even, vec<T>(term(load(x + i)...)));
    i += kStep;
  }
  if (i < n) {
    const vec<T> last = term(load_some(x + i, n - i)...);
    odd = combine(odd, detail::keep_some<T>(last, n - i, start));
  }
  return detail::fold_vector<T, kLanes<T>>(combine(even, odd), combine);
}

/// Σ term(x[i], …), i < n
template <class Term, class T, class... Arrays>
inline T sum(int64_t n, const Term& term, const T* x, const Arrays*... more) {
  return fold(n, T(0), Sum{}, term, x, more...);
}

template <class T>
inline T sum(int64_t n, const T* x) {
  return sum(
      n, [](const vec<T>& v) { return v; }, x);
}

/// Passes over NaN.
template <class T>
inline T max(int64_t n, const T* x) {
  constexpr T kLeast = -std::numeric_limits<T>::infinity();
  return fold(
      n, kLeast, Max{}, [](const vec<T>& v) { return v; }, x);
}

}  // namespace diptych::cpu
