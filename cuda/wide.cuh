// cuda/wide.cuh — packs of neighbours in the type that is computed in.
#pragma once

#include "cuda/launch.cuh"

namespace diptych::cuda {

/// S values from p on, whose address is a multiple of 16 unless S is 1, in accesses of at most 16
/// bytes.
template <int S, class T>
__device__ Pack<acc_t<T>, S> load_wide(const T* p) {
  constexpr int kOnce = S < Pack<T>::kSize ? S : Pack<T>::kSize;
  Pack<acc_t<T>, S> wide;
  DIPTYCH_UNROLL
  for (int k = 0; k < S; k += kOnce) {
    const Pack<T, kOnce> pack = *reinterpret_cast<const Pack<T, kOnce>*>(p + k);
    DIPTYCH_UNROLL
    for (int i = 0; i < kOnce; ++i) wide.at[k + i] = widen(pack.at[i]);
  }
  return wide;
}

template <class T, int S>
__device__ void store_narrow(const Pack<acc_t<T>, S>& wide, T* p) {
  if constexpr (S == 1) {  // g++ 12 fails on a pack of one f16
    *p = narrow<T>(wide.at[0]);
  } else {
    Pack<T, S> pack;
    DIPTYCH_UNROLL
    for (int i = 0; i < S; ++i) pack.at[i] = narrow<T>(wide.at[i]);
    *reinterpret_cast<Pack<T, S>*>(p) = pack;
  }
}

// The same at any address.

template <int S, class T>
__device__ Pack<acc_t<T>, S> load_each(const T* p) {
  Pack<acc_t<T>, S> wide;
  DIPTYCH_UNROLL
  for (int i = 0; i < S; ++i) wide.at[i] = widen(p[i]);
  return wide;
}

template <class A, int S>
__device__ void store_each(const Pack<A, S>& wide, A* p) {
  DIPTYCH_UNROLL
  for (int i = 0; i < S; ++i) p[i] = wide.at[i];
}

/// f(a[i], more[i], …) for each i
template <class A, class F, class B, int S, class... More>
__device__ Pack<A, S> map(F f, const Pack<B, S>& a, const More&... more) {
  Pack<A, S> all;
  DIPTYCH_UNROLL
  for (int i = 0; i < S; ++i) all.at[i] = f(a.at[i], more.at[i]...);
  return all;
}

template <class A, int S>
__device__ Pack<A, S> operator+(const Pack<A, S>& x, const Pack<A, S>& y) {
  return map<A>([](A a, A b) { return a + b; }, x, y);
}

/// Calls f(S, a constant) with how many values of rows of D one access takes: 16 bytes' if all
/// arrays and D allow it, else one. In f64, which checks gradients, always one.
template <class T, class F, class... Arrays>
void visit_pack(int64_t D, const F& f, const Arrays*... arrays) {
  constexpr int kSize = Pack<T>::kSize;
  if constexpr (kSize > 2) {
    if (D % kSize == 0 && is_packed(arrays...)) return f(std::integral_constant<int, kSize>{});
  }
  f(std::integral_constant<int, 1>{});
}

}  // namespace diptych::cuda
