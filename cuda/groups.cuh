// cuda/groups.cuh — the positions of an index, grouped by value.
#pragma once

#include "cuda/launch.cuh"
#include "tensor/factory.h"

namespace diptych::cuda {

/// Positions 0 … N-1 of an index of values in [0, V), in ascending order of (value, position). What
/// is out of range counts as value V, so group V are those.
struct Groups {
  /// index i64 (N) on the device; what is out of range is written down for `op`. Errors of the
  /// device start with `name`.
  Groups(const char* name, const Tensor& index, int64_t V, Indexed op);

  Tensor order;  ///< i64 (N): the positions
  Tensor value;  ///< i64 (N): of position order[k]
  Tensor first;  ///< i64 (V + 1): group v is order[first[v]] … order[first[v + 1] - 1]
};

}  // namespace diptych::cuda
