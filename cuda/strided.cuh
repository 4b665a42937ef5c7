// cuda/strided.cuh — loops over several strided arrays of one shape, with as few axes as possible.
#pragma once

#include <utility>

#include "cuda/packs.cuh"

namespace diptych::cuda {

/// A position in each of N arrays, in elements.
template <int N>
struct Offsets {
  int64_t at[N] = {};
};

/// N arrays of one shape. Axes of extent 1 are gone, and neighbouring axes that every array steps
/// through evenly are one: contiguous arrays are left with one axis. Elements are numbered in
/// row-major order of the shape. Kernels take it as a __grid_constant__, which threads read where
/// it is; of a plain parameter each may make a copy of its own, in order to index it.
template <int N>
struct StridedLoop {
  static constexpr int kMaxRank = Shape::kMaxRank;

  StridedLoop(const Shape& shape, const Shape (&strides)[N]) : numel(shape.numel()) {
    for (int axis = shape.rank() - 1; axis >= 0; --axis)
      if (shape[axis] != 1) append(shape, strides, axis);
    if (rank == 0) rank = 1;  // one element: strides 0, extent 1
  }

  /// Where element i is. The last axis takes no division: a single axis takes none.
  __device__ Offsets<N> offsets(int64_t i) const {
    Offsets<N> to;
    for (int axis = 0; axis < rank; ++axis) {
      const int64_t outer = axis + 1 < rank ? i / extent[axis] : 0;
      const int64_t inner = i - outer * extent[axis];
      for (int k = 0; k < N; ++k) to.at[k] += inner * stride[k][axis];
      i = outer;
    }
    return to;
  }

  /// Whether every S elements, from a multiple of S on, are in each array a Pack or one and the
  /// same element. x: where the arrays start.
  template <int S, class... T>
  bool is_packed(const T*... x) const {
    int k = 0;
    return (rank == 1 || extent[0] % S == 0) && (is_packed<S>(k++, x) && ...);
  }

  /// Numbers the elements in another order.
  void swap_axes(int a, int b) {
    std::swap(extent[a], extent[b]);
    for (int k = 0; k < N; ++k) std::swap(stride[k][a], stride[k][b]);
  }

  int rank = 0;  ///< at least 1
  int64_t numel;
  int64_t extent[kMaxRank] = {1};  ///< innermost first
  int64_t stride[N][kMaxRank] = {};

 private:
  template <int S, class T>
  bool is_packed(int k, const T* x) const {
    if (stride[k][0] == 0) return true;
    bool packed = stride[k][0] == 1 && reinterpret_cast<uintptr_t>(x) % sizeof(Pack<T, S>) == 0;
    for (int axis = 1; axis < rank; ++axis) packed = packed && stride[k][axis] % S == 0;
    return packed;
  }

  void append(const Shape& shape, const Shape (&strides)[N], int axis) {
    if (rank > 0 && continues(shape, strides, axis)) {
      extent[rank - 1] *= shape[axis];
      return;
    }
    extent[rank] = shape[axis];
    for (int k = 0; k < N; ++k) stride[k][rank] = strides[k][axis];
    ++rank;
  }

  bool continues(const Shape& shape, const Shape (&strides)[N], int axis) const {
    const int top = rank - 1;
    bool even = shape[axis] != 0;
    for (int k = 0; k < N; ++k) even = even && strides[k][axis] == stride[k][top] * extent[top];
    return even;
  }
};

/// The S elements that a thread takes of array k of a loop that is_packed() for it, or one element
/// (S = 1), whatever the strides: x is where they start.
template <int S, class T>
__device__ Pack<T, S> load_along(const T* x, int64_t step, int64_t left) {
  return S > 1 && step == 0 ? splat<S>(*x) : load<S>(x, left, true);
}

}  // namespace diptych::cuda
