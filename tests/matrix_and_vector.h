// tests/matrix_and_vector.h — the least that an optimizer treats in two ways.
#pragma once

#include "autograd/ops.h"
#include "nn/module.h"

namespace diptych::test {

/// A matrix, which is decayed, and a vector, which is not.
struct MatrixAndVector : nn::Module {
  explicit MatrixAndVector(DType dtype = DType::f64)
      : matrix(parameter("matrix", {3, 2}, nn::Init::normal(1))),
        vector(parameter("vector", {4}, nn::Init::normal(1))) {
    to(dtype);
    initialize(3);
  }
  void set_gradients(uint64_t step) {
    for (const Tensor& p : {matrix, vector})
      set_grad(p, randn(p.shape(), {step, static_cast<uint64_t>(p.rank())}, gradient_dtype(p)));
  }
  Tensor matrix, vector;
};

}  // namespace diptych::test
