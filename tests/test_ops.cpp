// tests/test_ops.cpp — the numbers of every operator: gradients, dtypes, references, layouts and
// extremes, generated from autograd/op_table/table.h.
#include <doctest/doctest.h>

#include <cmath>

#include "autograd/gradcheck.h"
#include "tests/op_harness.h"

using namespace diptych;
using namespace diptych::test;

namespace {

// The central difference of step 1e-5 is off by about 1e-10 f''' and by 2⁻⁵³ / 1e-5 ≈ 1e-11 of the
// size of f. That leaves two digits for sums of many terms; a wrong formula is off by far more.
constexpr double kGradcheck = 1e-7;
}  // namespace

TEST_CASE("op table: gradients match central differences") {
  for_each_row([](const OpCase& row, Device device) {
    if (device != Device::cpu) return;  // the oracle carries it over
    PhiloxStream rng = generator(row, 0);
    const GradcheckResult r = gradcheck(row.f, row.inputs(rng));
    CHECK_MESSAGE(r.worst <= kGradcheck * row.slack, r.where, ": recorded ", r.analytic,
                  ", by difference ", r.numeric, ", relative error ", r.worst);
  });
}

TEST_CASE("op table: every dtype agrees with f64 on the cpu") {
  for_each_dtype([](const OpCase& row, Device device, DType dtype) {
    const Sample s = sample(row, dtype, device);
    check_computed(run(row.f, s.inputs, s.seed), s.truth, tolerance(dtype) * row.slack);
  });
}

TEST_CASE("op table: the fused operator is the composition of simpler ones") {
  for_each_row([](const OpCase& row, Device device) {
    if (!row.reference) return;
    const Sample s = sample(row, DType::f64, device);
    const Inputs inputs = converted(s.inputs, DType::f64, Device::cpu);
    Inputs leaves = inputs;
    for (Tensor& x : leaves) track(x = x.detach());
    Computed simple, fused = run(row.f, s.inputs, s.seed);
    if (needs_grad(row.reference(leaves))) {
      simple = run(row.reference, inputs, s.seed.to(Device::cpu));
    } else {
      simple.y = row.reference(inputs);
      fused.grads.clear();
    }
    check_computed(fused, simple, 100 * kSameInF64 * row.slack);
  });
}

namespace {

// A copy of x in memory with these strides and this offset, in elements.
Tensor placed(const Tensor& x, Shape strides, int64_t offset) {
  int64_t last = offset;
  for (int i = 0; i < x.rank(); ++i) last += std::max<int64_t>(0, x.dim(i) - 1) * strides[i];
  const auto storage = std::make_shared<Storage>((last + 1) * size_of(x.dtype()), x.device());
  Tensor out(storage, x.dtype(), x.shape(), strides, offset);
  out.copy_(x);
  return out;
}

Tensor column_major(const Tensor& x) {
  Shape strides = x.shape();
  int64_t step = 1;
  for (int i = 0; i < x.rank(); ++i) {
    strides[i] = step;
    step *= x.dim(i);
  }
  return placed(x, strides, 0);
}

Tensor every_second(const Tensor& x) {
  Shape strides = contiguous_strides(x.shape());
  for (int i = 0; i < x.rank(); ++i) strides[i] *= 2;
  return placed(x, strides, 1);
}

Tensor displaced(const Tensor& x) { return placed(x, contiguous_strides(x.shape()), 3); }

// Repeats the first slice of the longest axis.
Tensor repeated(const Tensor& x) {
  if (x.numel() == 0 || x.rank() == 0) return x;
  const auto longest = std::max_element(x.shape().begin(), x.shape().end()) - x.shape().begin();
  return x.slice(static_cast<int>(longest), 0, 1).expand(x.shape());
}

struct Layout {
  const char* what;
  Tensor (*apply)(const Tensor&);
};
constexpr Layout kLayouts[] = {{"transposed", column_major},
                               {"sliced", every_second},
                               {"offset", displaced},
                               {"expanded", repeated}};

}  // namespace

TEST_CASE("op table: the layout of the inputs does not matter") {
  for_each_dtype([](const OpCase& row, Device device, DType dtype) {
    const Sample s = sample(row, dtype, device);
    for (const Layout& layout : kLayouts) {
      const std::string how = layout.what;
      INFO(how);
      Inputs laid, packed;
      for (const Tensor& x : s.inputs) {
        laid.push_back(layout.apply(x));
        packed.push_back(laid.back().clone());
      }
      check_computed(run(row.f, laid, s.seed), run(row.f, packed, s.seed),
                     tolerance(dtype) * row.slack);
    }
  });
}

TEST_CASE("op table: empty, single and extreme inputs give no NaN and no infinite gradient") {
  for_each_dtype([](const OpCase& row, Device device, DType dtype) {
    for (size_t k = 0; k < row.special.size(); ++k) {
      const Computed out = run(row.f, converted(row.special[k], dtype, device), {});
      for (double v : out.y.to_vector<double>()) {
        CHECK_MESSAGE(!std::isnan(v), "special input ", k, ": NaN in the value");
      }
      for (const Tensor& g : out.grads) {
        for (double v : g.to_vector<double>()) {
          CHECK_MESSAGE(std::isfinite(v), "special input ", k, ": gradient ", v);
        }
      }
    }
  });
}

TEST_CASE("op table: a row of one element is its own softmax, sign, or nothing but the bias") {
  const Tensor x = from_vector<double>({3, -0.5}, {2, 1});
  CHECK(softmax(x).to_vector<double>() == std::vector<double>{1, 1});
  CHECK(log_softmax(x).to_vector<double>() == std::vector<double>{0, 0});
  CHECK(l2_normalize(x).to_vector<double>() == std::vector<double>{1, -1});
  const Tensor weight = full({1}, 2, DType::f64), bias = full({1}, 7, DType::f64);
  CHECK(layer_norm(x, weight, bias).to_vector<double>() == std::vector<double>{7, 7});
}
