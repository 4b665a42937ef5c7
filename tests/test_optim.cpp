// tests/test_optim.cpp — optimizer, clipping, schedule.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <memory>

#include "clip/model.h"
#include "nn/adamw.h"
#include "nn/schedule.h"
#include "tensor/kernels.h"
#include "tests/files.h"
#include "tests/matrix_and_vector.h"

using namespace diptych;
using namespace diptych::nn;
using diptych::test::contains;
using diptych::test::error_of;
using diptych::test::MatrixAndVector;

TEST_CASE("AdamW: one step is the formula, by hand") {
  struct One : Module {
    One() : p(parameter("p", {1, 2}, Init::constant(0))) {}
    Tensor p;
  } module;
  module.p.copy_(from_vector<float>({1.0f, -2.0f}, {1, 2}));
  set_grad(module.p, from_vector<float>({0.5f, 0.0f}, {1, 2}));
  AdamW optimizer(module, {.beta1 = 0.9, .beta2 = 0.98, .eps = 1e-6, .weight_decay = 0.1});
  optimizer.step(0.01, grad_squares(module));
  // The first step moves by lr · sign, whatever the gradient's size; decay is lr · wd · p.
  const auto p = module.p.to_vector<double>();
  CHECK(p[0] == doctest::Approx(1.0 - 0.01 * (0.1 * 1.0 + 0.5 / (0.5 + 1e-6))).epsilon(1e-6));
  CHECK(p[1] == doctest::Approx(-2.0 + 0.01 * 0.1 * 2.0).epsilon(1e-6));
}

namespace {

/// Algorithm 2 of Loshchilov and Hutter (2019), as it stands there.
struct PlainAdamW {
  std::vector<double> p, m, v;
  explicit PlainAdamW(const Tensor& start)
      : p(start.to_vector<double>()), m(p.size(), 0.0), v(p.size(), 0.0) {}

  void step(int t, const std::vector<double>& gradient, double lr, double decay) {
    for (size_t i = 0; i < p.size(); ++i) {
      const double g = gradient[i];
      m[i] = 0.9 * m[i] + (1 - 0.9) * g;
      v[i] = 0.98 * v[i] + (1 - 0.98) * g * g;
      const double m_hat = m[i] / (1 - std::pow(0.9, t)), v_hat = v[i] / (1 - std::pow(0.98, t));
      p[i] -= lr * (m_hat / (std::sqrt(v_hat) + 1e-6) + decay * p[i]);
    }
  }
};

// The largest difference, relative to values around 1.
double distance(const Tensor& x, const std::vector<double>& y) {
  const auto values = x.to_vector<double>();
  double most = 0;
  for (size_t i = 0; i < y.size(); ++i) most = std::max(most, std::fabs(values[i] - y[i]));
  return most;
}

}  // namespace

TEST_CASE("AdamW: ten steps in f64 are the formula to 1e-12, decayed or not, gradients clipped") {
  MatrixAndVector module;
  PlainAdamW matrix(module.matrix), vector(module.vector);
  AdamW optimizer(module, {.beta1 = 0.9, .beta2 = 0.98, .eps = 1e-6, .weight_decay = 0.3});
  const double max_norm = 0.5;
  for (int t = 1; t <= 10; ++t) {
    const double lr = 0.01 * t;
    module.set_gradients(static_cast<uint64_t>(t));
    const double norm = grad_norm(module), scale = max_norm / (norm + 1e-6);
    CHECK(norm > max_norm);
    const auto step = [&](const Tensor& p, PlainAdamW& plain, double decay) {
      std::vector<double> scaled = grad(p).to_vector<double>();
      for (double& x : scaled) x *= scale;
      plain.step(t, scaled, lr, decay);
    };
    step(module.matrix, matrix, 0.3);
    step(module.vector, vector, 0);
    optimizer.step(lr, grad_squares(module), max_norm);
    CAPTURE(t);
    CHECK(distance(module.matrix, matrix.p) < 1e-12);  // a step moves by about lr
    CHECK(distance(module.vector, vector.p) < 1e-12);
  }
  CHECK(optimizer.steps() == 10);
}

TEST_CASE("AdamW: a parameter without a gradient keeps its bits, and the others still move") {
  MatrixAndVector module;
  const Tensor before = module.matrix.clone(), moved = module.vector.clone();
  AdamW optimizer(module, {});
  set_grad(module.vector, full({4}, 1, DType::f64));
  optimizer.step(0.1, grad_squares(module));
  CHECK(test::same_bits(module.matrix, before));
  CHECK(!test::same_bits(module.vector, moved));
}

TEST_CASE(
    "AdamW: after a sum of squares that is not finite no step is taken, until state is loaded") {
  for (const double bad : {std::nan(""), HUGE_VAL}) {
    MatrixAndVector module;
    AdamW optimizer(module, {});
    const auto moved = [&](double value) {
      const Tensor before = module.vector.clone();
      set_grad(module.vector, full({4}, value, DType::f64));
      optimizer.step(0.1, grad_squares(module));
      return !test::same_bits(module.vector, before);
    };
    CHECK(moved(1));
    CHECK_FALSE(moved(bad));
    CHECK_FALSE(moved(1));
    CHECK_FALSE(moved(1));
    optimizer.load_state(optimizer.state(), 1);
    CHECK(moved(1));
  }
}

TEST_CASE("AdamW: gains, biases and the temperature are not decayed, and the groups say so") {
  Clip model(preset("tiny"));
  model.initialize(0);
  const AdamW optimizer(model, {});
  const std::string groups = optimizer.groups();
  const std::string decayed = groups.substr(0, groups.find('\n')),
                    plain = groups.substr(groups.find('\n'));
  CHECK(contains(decayed, "visual.positional_embedding"));
  CHECK(contains(decayed, "transformer.resblocks.*.mlp.c_fc.weight"));
  for (const char* name :
       {"logit_scale", "ln_final.weight", "visual.class_embedding", "resblocks.*.mlp.c_fc.bias"}) {
    CHECK(contains(plain, name));
    CHECK(!contains(decayed, name));
  }
}

TEST_CASE("AdamW: a saved and loaded optimizer goes on with the same bits") {
  const auto run = [](bool interrupted) {
    Clip model(preset("tiny"));
    model.initialize(5);
    auto optimizer = std::make_unique<AdamW>(model, OptimizerConfig{});
    for (int step = 0; step < 4; ++step) {
      for (const Tensor& p : model.parameters())
        set_grad(p, randn(p.shape(), {9, static_cast<uint64_t>(step)}));
      optimizer->step(1e-3, grad_squares(model));
      if (interrupted && step == 1) {
        std::vector<NamedTensor> saved;
        for (const auto& s : optimizer->state()) saved.push_back({s.name, s.tensor.clone()});
        const int64_t steps = optimizer->steps();
        optimizer = std::make_unique<AdamW>(model, OptimizerConfig{});
        optimizer->load_state(saved, steps);
      }
    }
    std::vector<Tensor> values;
    for (const auto& entry : model.state()) values.push_back(entry.tensor);
    return values;
  };
  const auto a = run(false), b = run(true);
  for (size_t i = 0; i < a.size(); ++i) CHECK(test::same_bits(a[i], b[i]));
}

TEST_CASE("clipping: the norm covers all gradients, and NaN is not hidden") {
  Linear layer(2, 2);
  set_grad(layer.weight, full({2, 2}, 2));
  set_grad(layer.bias, full({2}, 3));
  CHECK(grad_norm(layer) == doctest::Approx(std::sqrt(4 * 4 + 2 * 9)));
  const auto clip_scale = [](double norm, double max_norm) {
    return AdamWStep{0, 0, 0, 0, 0, max_norm, 1}.gradient_scale(norm);
  };
  CHECK(clip_scale(10, 1) == doctest::Approx(0.1));
  CHECK(clip_scale(0.5, 1) == 1);
  CHECK(clip_scale(10, 0) == 1);
  set_grad(layer.bias, full({2}, std::numeric_limits<double>::quiet_NaN()));
  CHECK(std::isnan(grad_norm(layer)));
}

TEST_CASE("schedule: rises to the peak and ends at zero") {
  CHECK(cosine_with_warmup(0, 1, 10, 100) == doctest::Approx(0.1));
  CHECK(cosine_with_warmup(9, 1, 10, 100) == doctest::Approx(1));
  CHECK(cosine_with_warmup(55, 1, 10, 100) == doctest::Approx(0.5));
  CHECK(cosine_with_warmup(100, 1, 10, 100) == 0);
  CHECK(cosine_with_warmup(99, 1, 10, 100) > 0);
  CHECK(cosine_with_warmup(0, 1, 0, 1) == 1);
}

TEST_CASE("optimizer: a model that was moved after the optimizer was made is refused by name") {
  Linear layer(2, 3);
  layer.initialize(0);
  AdamW optimizer(layer, {});
  const auto step = [&] {
    backward(layer(zeros({4, 2}, layer.weight.dtype())));
    optimizer.step(0.1, grad_squares(layer));
  };
  layer.to(DType::f64);
  CHECK(contains(error_of(step),
                 "optimizer: weight is f64 on cpu, its gradient f64 on cpu, its "
                 "moments f32 on cpu"));
  CHECK(optimizer.steps() == 0);
  layer.to(DType::f32);
  step();
  CHECK(optimizer.steps() == 1);
}

TEST_CASE("clipping: gradients of two dtypes have no common norm") {
  struct Both : Module {
    Both() : a(child<Linear>("a", 2, 2)), b(child<Linear>("b", 2, 2)) {}
    Linear &a, &b;
  } both;
  both.b.to(DType::f64);
  set_grad(both.a.weight, zeros({2, 2}));
  set_grad(both.b.weight, zeros({2, 2}, DType::f64));
  CHECK(contains(error_of([&] { grad_norm(both); }),
                 "grad_squares: a gradient is f64 on cpu, another f32"));
}
