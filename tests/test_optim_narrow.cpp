// tests/test_optim_narrow.cpp — AdamW with f16 moments and parameters of 16 bits: saving, loading,
// converting, and where it arrives.
#include <doctest/doctest.h>

#include <cmath>
#include <memory>

#include "autograd/graph.h"
#include "nn/adamw.h"
#include "nn/layers.h"
#include "tensor/factory.h"
#include "tests/files.h"

using namespace diptych;
using namespace diptych::nn;
using diptych::test::contains;
using diptych::test::error_of;
using diptych::test::same_bits;

namespace {

/// An embedding, a matrix and a bias; the first two in that type.
struct Small : Module {
  explicit Small(DType matrices)
      : words(table("words", {50, 13}, Init::normal(1))),
        weight(parameter("weight", {13, 7}, Init::normal(1))),
        bias(parameter("bias", {7}, Init::normal(1))) {
    initialize(3);
    matrices_to(matrices);
  }
  Tensor words, weight, bias;
};

constexpr OptimizerConfig kHalf{.half_moments = true, .seed = 8};

/// Steps first … last with gradients that depend on the number alone.
void take_steps(AdamW& optimizer, const Module& module, uint64_t first, uint64_t last) {
  for (uint64_t t = first; t <= last; ++t) {
    for (const Tensor& p : module.parameters()) set_grad(p, randn(p.shape(), {9, t}));
    optimizer.step(1e-3, grad_squares(module), 1);
  }
}

std::vector<NamedTensor> copied(const std::vector<NamedTensor>& state) {
  std::vector<NamedTensor> out;
  for (const NamedTensor& s : state) out.push_back({s.name, s.tensor.clone()});
  return out;
}

const Tensor& named(const std::vector<NamedTensor>& state, const std::string& name) {
  const auto it = std::find_if(state.begin(), state.end(),
                               [&](const NamedTensor& s) { return s.name == name; });
  REQUIRE(it != state.end());
  return it->tensor;
}

void check_same(const std::vector<NamedTensor>& a, const std::vector<NamedTensor>& b) {
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    CAPTURE(a[i].name);
    CHECK(a[i].name == b[i].name);
    CHECK(same_bits(a[i].tensor, b[i].tensor));
  }
}

/// 4 × 30 numbers, each row a thousandth of the one before.
Moment by_thousands() {
  std::vector<float> x = randn({4, 30}, {1, 1}).to_vector<float>();
  for (size_t i = 0; i < x.size(); ++i) x[i] *= static_cast<float>(std::pow(1e-3, i / 30));
  return {from_vector(x, {4, 30})};
}

Moment half_of(const Moment& moment, bool rows) {
  Moment half = zero_moment(moment.values, true, rows);
  assign("w", moment, half);
  return half;
}

std::vector<float> wide_of(const Moment& half) {
  Moment wide = zero_moment(half.values, false, false);
  assign("w", half, wide);
  CHECK(wide.values.dtype() == DType::f32);
  return wide.values.to_vector<float>();
}

/// The parameter after 40 steps of about 1e-4 each, uphill from 1.
Tensor climbed(DType dtype, bool half_moments, bool stochastic) {
  struct One : Module {
    One() : p(parameter("p", {64, 64}, Init::constant(1))) { initialize(0); }
    Tensor p;
  } module;
  module.matrices_to(dtype);
  AdamW optimizer(module,
                  {.weight_decay = 0, .half_moments = half_moments, .stochastic = stochastic});
  for (int t = 0; t < 40; ++t) {
    set_grad(module.p, full({64, 64}, -0.5));
    optimizer.step(1e-4, grad_squares(module));
  }
  return module.p.detach();
}

double mean_of(const Tensor& x) {
  double sum = 0;
  for (const double v : x.to_vector<double>()) sum += v;
  return sum / static_cast<double>(x.numel());
}

}  // namespace

TEST_CASE("AdamW in 16 bits: a saved and loaded optimizer goes on with the same bits") {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    Small whole(dtype), parted(dtype);
    AdamW through(whole, kHalf);
    take_steps(through, whole, 1, 6);
    auto optimizer = std::make_unique<AdamW>(parted, kHalf);
    take_steps(*optimizer, parted, 1, 3);
    const auto saved = copied(optimizer->state()), weights = copied(parted.state_dict());
    Small again(dtype);
    again.load_state(weights);
    optimizer = std::make_unique<AdamW>(again, kHalf);
    optimizer->load_state(saved, 3);
    check_same(optimizer->state(), saved);
    take_steps(*optimizer, again, 4, 6);
    check_same(again.state_dict(), whole.state_dict());
    check_same(optimizer->state(), through.state());
  }
}

TEST_CASE("AdamW in 16 bits: the state has scales, one a row for tables, and half of the bytes") {
  const Small module(DType::bf16);
  const AdamW half(module, kHalf), full(module, {});
  const auto state = half.state();
  CHECK(state.size() == 3 * 4);
  for (const char* kind : {"m", "v"}) {
    const std::string k = kind;
    CHECK(named(state, k + ".words").dtype() == DType::f16);
    CHECK(named(state, k + "_scale.words").shape() == Shape{50});
    CHECK(named(state, k + "_scale.weight").shape() == Shape{1});
    CHECK(named(state, k + "_scale.bias").dtype() == DType::f32);
    CHECK(named(full.state(), k + ".words").dtype() == DType::f32);
  }
  CHECK(full.state().size() == 3 * 2);
  CHECK(half.half_moments() == 50 * 13 + 13 * 7 + 7);
  CHECK(full.half_moments() == 0);
}

TEST_CASE(
    "AdamW in 16 bits: moments of f32 and of f16 are converted into each other by load_state") {
  Small module(DType::bf16);
  AdamW wide(module, {.seed = 8}), half(module, kHalf), wide_again(module, {.seed = 8});
  take_steps(wide, module, 1, 3);
  half.load_state(copied(wide.state()), 3);
  wide_again.load_state(copied(half.state()), 3);
  for (const NamedTensor& s : wide.state()) {
    const auto x = s.tensor.to_vector<double>();
    const auto y = named(wide_again.state(), s.name).to_vector<double>();
    double most = 0, worst = 0;
    for (size_t i = 0; i < x.size(); ++i) most = std::max(most, std::fabs(x[i]));
    for (size_t i = 0; i < x.size(); ++i) {
      const double allowed = std::max(std::fabs(x[i]) * 0x1p-11, most / 65504 * 0x1p-25);
      worst = std::max(worst, std::fabs(x[i] - y[i]) / (allowed + 1e-14));
    }
    CHECK(worst <= 1.001);
  }
  take_steps(half, module, 4, 4);
}

TEST_CASE("moments: f16 with a scale for each row keeps rows that one for all would lose") {
  const Moment wide = by_thousands();
  const std::vector<float> x = wide.values.to_vector<float>();
  const Moment rows = half_of(wide, true), one = half_of(wide, false);
  CHECK(rows.scale.shape() == Shape{4});
  for (size_t r = 0; r < 4; ++r) {
    float most = 0;
    for (size_t i = 30 * r; i < 30 * (r + 1); ++i) most = std::max(most, std::fabs(x[i]));
    CHECK(rows.scale.to_vector<double>()[r] == doctest::Approx(1e-8 + most / 65504).epsilon(1e-6));
  }
  const std::vector<float> by_row = wide_of(rows), by_one = wide_of(one);
  for (size_t i = 0; i < 60; ++i) CHECK(by_row[i] == doctest::Approx(x[i]).epsilon(0x1p-10));
  CHECK(by_one[0] == doctest::Approx(x[0]).epsilon(0x1p-10));
  for (size_t i = 90; i < 120; ++i) {  // 1e-9, less than half a step of 1e-5 / 2²⁴: nothing is left
    CHECK(std::fabs(by_one[i]) <= std::fabs(x[i]) + 1e-12f);
    CHECK(by_row[i] != 0);
  }
}

TEST_CASE("moments: kept alike they are copied bit for bit, kept otherwise converted") {
  const Moment rows = half_of(by_thousands(), true);
  Moment same = zero_moment(rows.values, true, true);
  assign("w", rows, same);
  CHECK(same_bits(same.values, rows.values));
  CHECK(same_bits(same.scale, rows.scale));
  const Moment one = half_of(rows, false);  // other groups
  CHECK(one.scale.numel() == 1);
  CHECK(wide_of(one)[0] == doctest::Approx(wide_of(rows)[0]).epsilon(0x1p-9));
  Moment wide = zero_moment(rows.values, false, false);
  CHECK(contains(error_of([&] { assign("w", {rows.values}, wide); }), "f16 has no scales"));
  CHECK(contains(error_of([&] { assign("w", {zeros({2, 2})}, wide); }), "(2, 2)"));
}

TEST_CASE("AdamW in 16 bits: what products read follows a step, also of parameters in f64") {
  for (const DType parameters : {DType::f32, DType::f64}) {
    for (const DType products : {DType::f32, DType::f16, DType::bf16}) {
      Linear layer(3, 2), other(3, 2);
      for (Linear* l : {&layer, &other}) {
        l->initialize(1);
        l->to(parameters);
        l->compute_in(products);
      }
      AdamW optimizer(layer, {});
      const Tensor x = full({1, 3}, 1, products), before = layer(x).detach();
      for (const Tensor& p : layer.parameters()) set_grad(p, full(p.shape(), 1, parameters));
      optimizer.step(0.1, grad_squares(layer));
      other.load_state(copied(layer.state_dict()));
      CHECK(same_bits(layer(x), other(x)));
      CHECK(!same_bits(layer(x), before));
    }
  }
}

TEST_CASE("AdamW in 16 bits: 40 small steps arrive on average, and to nearest none does") {
  const double want = mean_of(climbed(DType::f32, false, true));
  CHECK(want == doctest::Approx(1 + 40e-4).epsilon(1e-4));
  CHECK(mean_of(climbed(DType::f32, true, true)) == doctest::Approx(want).epsilon(1e-5));
  for (const auto& [dtype, step] : {std::pair{DType::bf16, 0x1p-7}, {DType::f16, 0x1p-10}}) {
    const double p = 1e-4 / step, sigma = step * std::sqrt(40 * p * (1 - p) / (64 * 64));
    for (const bool half : {false, true})
      CHECK(std::fabs(mean_of(climbed(dtype, half, true)) - want) <= 4.5 * sigma);
    CHECK(climbed(dtype, true, false).to_vector<double>() == std::vector<double>(64 * 64, 1.0));
  }
}
