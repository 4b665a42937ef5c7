// tests/op_harness.h — running, comparing and going through the rows of autograd/op_table/table.h.
//
// One test case per check, one subcase per row: `run_tests -tc='op table*' -sc='softmax*'`.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "autograd/op_table/table.h"
#include "tests/devices.h"

namespace diptych::test {

// Same arithmetic in another order, in f64: the square of a few thousand 2⁻⁵³.
constexpr double kSameInF64 = 1e-24;

// Normalised mean square error allowed: about the square of a few roundings of the dtype.
inline double tolerance(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return 1e-12;
    case DType::f16:
      return 1e-6;
    case DType::bf16:
      return 1e-4;
    default:
      return kSameInF64;
  }
}

inline std::string title(const OpCase& row) { return std::string(row.name) + ", " + row.what; }

// Each row has numbers of its own, the same on every machine.
inline PhiloxStream generator(const OpCase& row, uint64_t purpose) {
  uint64_t seed = 0;
  for (char c : title(row)) seed = mix(seed, static_cast<uint8_t>(c));
  return PhiloxStream(seed, purpose);
}

// -- running a row
// ---------------------------------------------------------------------------------

struct Computed {
  Tensor y;
  std::vector<Tensor> grads;  // undefined where the input was not tracked
};

inline Inputs converted(const Inputs& inputs, DType dtype, Device device) {
  Inputs out;
  for (const Tensor& x : inputs) out.push_back(x.to(dtype).to(device).clone());
  return out;
}

inline Tensor random_seed(const Tensor& y, PhiloxStream rng) {
  std::vector<double> values(static_cast<size_t>(y.numel()));
  for (double& v : values) v = rng.normal();
  return from_vector(values, y.shape()).to(y.dtype()).to(y.device());
}

// Tracks the inputs whose bit is set. A gradient that never came is zero.
inline Computed run(const OpFunction& f, const Inputs& inputs, const Tensor& seed,
                    unsigned subset = ~0u) {
  Inputs leaves;
  for (size_t i = 0; i < inputs.size(); ++i) {
    leaves.push_back(inputs[i].detach());
    if (subset >> i & 1u) track(leaves[i]);
  }
  Computed out;
  out.y = f(leaves);
  backward(out.y, seed.defined() ? seed.to(out.y.dtype())
                                 : full(out.y.shape(), 1, out.y.dtype(), out.y.device()));
  for (const Tensor& x : leaves) {
    if (!needs_grad(x)) {
      out.grads.emplace_back();
    } else {
      out.grads.push_back(grad(x).defined() ? grad(x) : zeros_like(x));
    }
  }
  return out;
}

// The inputs of a row for one dtype and device, a seed of the result's shape, and the truth: both
// rounded to the dtype first, then computed in f64 on the cpu.
struct Sample {
  Inputs inputs;
  Tensor seed;
  Computed truth;
};

inline Sample sample(const OpCase& row, DType dtype, Device device) {
  PhiloxStream rng = generator(row, 0);
  Sample s;
  s.inputs = converted(row.inputs(rng), dtype, device);
  s.seed = random_seed(row.f(s.inputs), generator(row, 1));
  const Inputs rounded = converted(s.inputs, DType::f64, Device::cpu);
  s.truth = run(row.f, rounded, s.seed.to(Device::cpu).to(DType::f64));
  return s;
}

// -- comparing
// ---------------------------------------------------------------------------------------

// Two measures: mean square error over mean square, and the largest error over the largest value,
// which sees one wrong element among many.
inline void check_close(const std::string& which, const Tensor& a, const Tensor& truth,
                        double nmse) {
  REQUIRE_MESSAGE(a.shape() == truth.shape(), which);
  const auto x = a.to_vector<double>(), t = truth.to_vector<double>();
  double error = 0, power = 0, worst = 0, largest = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    error += (x[i] - t[i]) * (x[i] - t[i]);
    power += t[i] * t[i];
    // Not std::max, which passes over NaN.
    worst = std::fabs(x[i] - t[i]) <= worst ? worst : std::fabs(x[i] - t[i]);
    largest = std::max(largest, std::fabs(t[i]));
  }
  CHECK_MESSAGE(error <= nmse * power, which, ": NMSE ", error / power, ", allowed ", nmse);
  const double most = 8 * std::sqrt(nmse);
  CHECK_MESSAGE(worst <= most * largest, which, ": largest error ", worst / largest,
                " of the largest value, allowed ", most);
}

inline void check_computed(const Computed& out, const Computed& truth, double nmse) {
  check_close("value", out.y, truth.y, nmse);
  for (size_t i = 0; i < out.grads.size(); ++i) {
    check_close("gradient of input " + std::to_string(i), out.grads[i], truth.grads[i], 10 * nmse);
  }
}

inline void check_same_bits(const Computed& a, const Computed& b, const std::string& when) {
  CHECK_MESSAGE(same_bits(a.y, b.y), "other values ", when);
  for (size_t i = 0; i < a.grads.size(); ++i) {
    CHECK_MESSAGE(same_bits(a.grads[i], b.grads[i]), "another gradient of input ", i, " ", when);
  }
}

// -- going through the table
// -------------------------------------------------------------------------

inline int64_t elements(const OpCase& row) {
  PhiloxStream rng = generator(row, 0);
  int64_t n = 0;
  for (const Tensor& x : row.inputs(rng)) n += x.numel();
  return n;
}

/// The rows of at most as many elements as asked for. Counted once: doctest runs what is around a
/// subcase anew for each.
inline const std::vector<const OpCase*>& rows_asked_for() {
  static const auto rows = [] {
    std::vector<const OpCase*> some;
    for (const OpCase& row : op_table())
      if (most_elements() == INT64_MAX || elements(row) <= most_elements()) some.push_back(&row);
    return some;
  }();
  return rows;
}

template <class Check>
void for_each_row(const Check& check) {
  for (const OpCase* one : rows_asked_for()) {
    const OpCase& row = *one;
    SUBCASE(title(row).c_str()) {
      for (Device device : devices()) {
        const std::string where = title(row) + " on " + name(device);
        INFO(where);
        try {
          check(row, device);
        } catch (const Error& e) {
          const std::string text = e.what();
          FAIL_CHECK("threw: ", text);
        }
      }
    }
  }
}

// f64 as well on a device: there it is not the truth itself.
template <class Check>
void for_each_dtype(const Check& check) {
  for_each_row([&](const OpCase& row, Device device) {
    std::vector<DType> dtypes = row.dtypes;
    dtypes.push_back(DType::f64);
    for (DType dtype : dtypes) {
      const std::string which = name(dtype);
      INFO(which);
      if (asked_for("DIPTYCH_DTYPES", which, true)) check(row, device, dtype);
    }
  });
}

}  // namespace diptych::test
