// cuda/packs.cuh — how a thread takes a few neighbouring elements of an array. A warp whose 32
// threads read 16 bytes each, side by side, keeps the memory busiest with the fewest instructions.
#pragma once

#include "cuda/launch.cuh"

namespace diptych::cuda {

/// S neighbours from x on, of which `left` exist; zeros stand for the others. At once where x is
/// `packed` and all are there.
template <int S, class T>
__device__ Pack<T, S> load(const T* x, int64_t left, bool packed) {
  if (packed && left >= S) return *reinterpret_cast<const Pack<T, S>*>(x);
  Pack<T, S> pack{};
  DIPTYCH_UNROLL
  for (int j = 0; j < S; ++j)
    if (j < left) pack.at[j] = x[j];
  return pack;
}

/// The first `left` elements of `pack` go to y.
template <int S, class T>
__device__ void store(const Pack<T, S>& pack, int64_t left, bool packed, T* y) {
  if (packed && left >= S) {
    *reinterpret_cast<Pack<T, S>*>(y) = pack;
    return;
  }
  DIPTYCH_UNROLL
  for (int j = 0; j < S; ++j)
    if (j < left) y[j] = pack.at[j];
}

/// An element S times over.
template <int S, class T>
__device__ Pack<T, S> splat(const T& x) {
  Pack<T, S> pack;
  DIPTYCH_UNROLL
  for (int j = 0; j < S; ++j) pack.at[j] = x;
  return pack;
}

}  // namespace diptych::cuda
