// tests/kernel_reference.h — what the kernel tests share: inputs, f64 values, comparisons.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <initializer_list>
#include <vector>

#include "tensor/kernels.h"
#include "tensor/parallel.h"
#include "tests/devices.h"

namespace diptych::test {

using Values = std::vector<double>;

inline constexpr DType kFloats[] = {DType::f32, DType::f64, DType::f16, DType::bf16};

/// Relative rounding error of a stored value, with room for a few hundred accumulated terms.
inline double tolerance(DType t) {
  switch (t) {
    case DType::f64:
      return 1e-12;
    case DType::f32:
      return 1e-5;
    case DType::f16:
      return 2e-3;
    default:
      return 1.6e-2;
  }
}

/// The dtype of the sums of kernels on this dtype.
inline DType acc_dtype(DType t) { return t == DType::f64 ? DType::f64 : DType::f32; }

/// Where the kernels of the test that runs now work, and where its tensors are made.
inline Device here = Device::cpu;

/// A test case that runs on every device there is.
#define KERNEL_TEST(name) KERNEL_TEST_(name, DOCTEST_ANONYMOUS(kernel_test_))
#define KERNEL_TEST_(name, body)            \
  static void body();                       \
  TEST_CASE(name) {                         \
    for (const Device device : devices()) { \
      here = device;                        \
      INFO("on ", device);                  \
      body();                               \
    }                                       \
    here = Device::cpu;                     \
  }                                         \
  static void body()

// In place of the factories of tensor/factory.h, which make tensors on the cpu unless told
// otherwise. Objects, not functions: those would be found beside them.
inline constexpr auto empty = [](Shape shape, DType dtype = DType::f32) {
  return diptych::empty(shape, dtype, here);
};
inline constexpr auto zeros = [](Shape shape, DType dtype = DType::f32) {
  return diptych::zeros(shape, dtype, here);
};
inline constexpr auto full = [](Shape shape, double value, DType dtype = DType::f32) {
  return diptych::full(shape, value, dtype, here);
};
inline Tensor normal(Shape shape, DType dtype = DType::f32, uint64_t stream = 0) {
  return randn(shape, Seed{7, stream}, dtype, here);
}
inline Tensor indices(const std::vector<int64_t>& values) {
  return from_vector(values, {static_cast<int64_t>(values.size())}).to(here);
}
inline Ragged layout_of(const std::vector<int64_t>& offsets) {
  return Ragged::of_offsets(indices(offsets));
}

inline Values values(const Tensor& x) { return x.to_vector<double>(); }

inline size_t at(int64_t i) { return static_cast<size_t>(i); }

/// Largest |got - want| / (1 + |want|); infinite where one is NaN or infinite and the other is not
/// the same.
inline double worst(const Values& got, const Values& want) {
  REQUIRE(got.size() == want.size());
  double most = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const bool same = got[i] == want[i] || (std::isnan(got[i]) && std::isnan(want[i]));
    const double error = std::fabs(got[i] - want[i]) / (1 + std::fabs(want[i]));
    if (!same) most = std::isfinite(error) ? std::max(most, error) : INFINITY;
  }
  return most;
}

inline void check_close(const Tensor& got, const Values& want, double slack = 1) {
  CHECK_MESSAGE(worst(values(got), want) <= slack * tolerance(got.dtype()), got.dtype(), " ",
                got.shape());
}

/// Runs `f` on 1, 2 and 3 threads and checks that its results are the same to the last bit.
inline void check_same_bits(const std::function<std::vector<Tensor>()>& f) {
  const int before = num_threads();
  set_num_threads(1);
  const std::vector<Tensor> one = f();
  for (int threads : {2, 3}) {
    set_num_threads(threads);
    const std::vector<Tensor> many = f();
    for (size_t i = 0; i < one.size(); ++i) CHECK(values(one[i]) == values(many[i]));
  }
  set_num_threads(before);
}

}  // namespace diptych::test
