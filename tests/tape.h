// tests/tape.h — f64 vectors, tracked or not, for the tests of the engine.
#pragma once

#include <vector>

#include "autograd/graph.h"
#include "tensor/factory.h"

namespace diptych::test {

using Values = std::vector<double>;

inline Tensor leaf(const Values& values) {
  return track(from_vector(values, {static_cast<int64_t>(values.size())}));
}

inline Tensor f64(const Values& values) {
  return from_vector(values, {static_cast<int64_t>(values.size())});
}

inline Values grad_of(const Tensor& x) { return grad(x).to_vector<double>(); }

}  // namespace diptych::test
