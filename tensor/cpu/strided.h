// tensor/cpu/strided.h — loops over several strided arrays of one shape, with as few axes as
// possible.
#pragma once

#include <array>

#include "tensor/parallel.h"
#include "tensor/types.h"

namespace diptych::cpu {

/// N arrays of one shape. Axes of extent 1 are gone, and neighbouring axes that every array steps
/// through evenly are one: contiguous arrays are left with a single axis.
template <int N>
struct StridedLoop {
  using Offsets = std::array<int64_t, N>;

  StridedLoop(const Shape& shape, const std::array<Shape, N>& strides) {
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
      if (shape[axis] == 1) continue;
      if (rank > 0 && continues(shape, strides, axis)) {
        extent[top()] *= shape[axis];
        continue;
      }
      extent[idx(rank)] = shape[axis];
      for (int k = 0; k < N; ++k) stride[idx(k)][idx(rank)] = strides[idx(k)][axis];
      ++rank;
    }
    if (rank == 0) rank = 1;  // one element: strides 0, extent 1
  }

  /// Calls f(offset of each array, n) for runs of n elements along axis 0, in parallel; a run
  /// belongs to one call alone and is at most `most` long.
  template <class F>
  void for_each_run(int64_t most, const F& f) const {
    const int64_t cuts = (extent[0] + most - 1) / most;
    int64_t rows = 1;
    for (int axis = 1; axis < rank; ++axis) rows *= extent[idx(axis)];
    const int64_t length = std::min(extent[0], most);
    const int64_t grain = std::max<int64_t>(1, 16384 / std::max<int64_t>(1, length));
    parallel_for(rows * cuts, grain, [&](int64_t begin, int64_t end) {
      for (int64_t run = begin; run < end; ++run) {
        const int64_t first = run % cuts * most;
        f(offsets(run / cuts, first), std::min(most, extent[0] - first));
      }
    });
  }

  /// Position of element `first` of axis 0 in row `row` of the other axes.
  Offsets offsets(int64_t row, int64_t first) const {
    Offsets at;
    for (int k = 0; k < N; ++k) at[idx(k)] = first * stride[idx(k)][0];
    for (int axis = 1; axis < rank; ++axis) {
      const int64_t i = row % extent[idx(axis)];
      row /= extent[idx(axis)];
      for (int k = 0; k < N; ++k) at[idx(k)] += i * stride[idx(k)][idx(axis)];
    }
    return at;
  }

  int rank = 0;                                    ///< at least 1
  std::array<int64_t, Shape::kMaxRank> extent{1};  ///< innermost first
  std::array<std::array<int64_t, Shape::kMaxRank>, N> stride{};

 private:
  static size_t idx(int i) { return static_cast<size_t>(i); }
  size_t top() const { return idx(rank - 1); }

  bool continues(const Shape& shape, const std::array<Shape, N>& strides, int axis) const {
    if (shape[axis] == 0) return false;
    for (int k = 0; k < N; ++k)
      if (strides[idx(k)][axis] != stride[idx(k)][top()] * extent[top()]) return false;
    return true;
  }
};

}  // namespace diptych::cpu
