// tests/cuda/alike.h — kernels of the device against those of the CPU.
#pragma once

#include "tests/kernel_reference.h"

namespace diptych::test {

using Results = std::vector<Tensor>;

/// f makes tensors `here`; on cuda they are those of the cpu, but for rounding.
inline void check_alike(const std::function<Results()>& f, double slack = 1) {
  here = Device::cpu;
  const Results want = f();
  here = Device::cuda;
  const Results got = f();
  here = Device::cpu;
  for (size_t i = 0; i < want.size(); ++i) {
    INFO("result ", i);
    check_close(got[i], values(want[i]), slack);
  }
}

/// n tensors without a result yet.
inline Results unwritten(size_t n, Shape shape, DType t) {
  Results all(n);
  for (Tensor& y : all) y = full(shape, 123, t);
  return all;
}

/// The same numbers wherever they are.
inline Tensor noise(Shape shape, DType t, uint64_t stream) {
  return randn(shape, Seed{7, stream}, t, Device::cpu).to(here);
}

}  // namespace diptych::test
