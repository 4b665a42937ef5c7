// tests/test_optimizers.cpp — optimizers by name, rates of single parameters, schedules.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include "clip/model.h"
#include "clip/train/places.h"
#include "nn/optimizers.h"
#include "nn/schedule.h"
#include "tests/files.h"
#include "tests/matrix_and_vector.h"

using namespace diptych;
using namespace diptych::nn;
using diptych::test::contains;
using diptych::test::error_of;
using diptych::test::MatrixAndVector;
using diptych::test::same_bits;

namespace {

constexpr double kBeta1 = 0.9, kBeta2 = 0.95, kEps = 1e-6, kMomentum = 0.8, kDecay = 0.3;

OptimizerConfig config() {
  return {
      .beta1 = kBeta1, .beta2 = kBeta2, .eps = kEps, .weight_decay = kDecay, .momentum = kMomentum};
}

/// One element in plain doubles.
struct Element {
  double p, m = 0, v = 0;
};
using Formula = std::function<void(Element&, double g, double lr, double decay, int t)>;

void adam(Element& x, double gradient, double lr, double decay, int t) {
  const double g = gradient + decay * x.p;
  x.m = kBeta1 * x.m + (1 - kBeta1) * g;
  x.v = kBeta2 * x.v + (1 - kBeta2) * g * g;
  x.p -=
      lr * (x.m / (1 - std::pow(kBeta1, t))) / (std::sqrt(x.v / (1 - std::pow(kBeta2, t))) + kEps);
}

void adamw(Element& x, double g, double lr, double decay, int t) {
  x.p -= lr * decay * x.p;
  adam(x, g, lr, 0, t);
}

void sgd(Element& x, double g, double lr, double decay, int) {
  x.m = kMomentum * x.m + g + decay * x.p;
  x.p -= lr * x.m;
}

void lion(Element& x, double g, double lr, double decay, int) {
  const double c = kBeta1 * x.m + (1 - kBeta1) * g;
  x.p -= lr * ((c > 0) - (c < 0) + decay * x.p);
  x.m = kBeta2 * x.m + (1 - kBeta2) * g;
}

std::vector<Element> elements_of(const Tensor& p) {
  std::vector<Element> all;
  for (const double value : p.to_vector<double>()) all.push_back({value});
  return all;
}

double distance(const Tensor& x, const std::vector<Element>& y) {
  const auto values = x.to_vector<double>();
  double most = 0;
  for (size_t i = 0; i < y.size(); ++i) most = std::max(most, std::fabs(values[i] - y[i].p));
  return most;
}

}  // namespace

TEST_CASE("optimizers: ten clipped steps in f64 are the formula to 1e-12; each tower its rate") {
  const std::pair<const char*, Formula> all[] = {
      {"adamw", adamw}, {"adam", adam}, {"sgd", sgd}, {"lion", lion}};
  CHECK(optimizer_names().size() == std::size(all));
  for (const auto& [name, formula] : all) {
    CAPTURE(name);
    MatrixAndVector module;
    const auto optimizer = make_optimizer(name, module, config());
    optimizer->set_rates([](const std::string& p) { return p == "vector" ? 0.25 : 0.5; });
    std::vector<Element> matrix = elements_of(module.matrix), vector = elements_of(module.vector);
    for (int t = 1; t <= 10; ++t) {
      module.set_gradients(static_cast<uint64_t>(t));
      const double lr = 0.01 * t, max_norm = 0.5, norm = grad_norm(module),
                   scale = max_norm / (norm + 1e-6);
      CHECK(norm > max_norm);
      const auto g = grad(module.matrix).to_vector<double>(),
                 h = grad(module.vector).to_vector<double>();
      for (size_t i = 0; i < g.size(); ++i) formula(matrix[i], scale * g[i], 0.5 * lr, kDecay, t);
      for (size_t i = 0; i < h.size(); ++i) formula(vector[i], scale * h[i], 0.25 * lr, 0, t);
      optimizer->step(lr, grad_squares(module), max_norm);
      CHECK(distance(module.matrix, matrix) < 1e-12);  // a step moves by about lr
      CHECK(distance(module.vector, vector) < 1e-12);
    }
  }
}

TEST_CASE("optimizers: a step that is not finite is not taken, and the next ones only if told so") {
  for (const std::string& name : optimizer_names()) {
    CAPTURE(name);
    MatrixAndVector module;
    const auto optimizer = make_optimizer(name, module, config());
    const auto moves = [&](double value) {
      const Tensor before = module.vector.clone();
      set_grad(module.vector, full({4}, value, DType::f64));
      optimizer->step(0.1, grad_squares(module));
      return !same_bits(module.vector, before);
    };
    CHECK(moves(1));
    CHECK_FALSE(moves(HUGE_VAL));
    CHECK_FALSE(moves(1));
    optimizer->forget_step();
    CHECK(moves(1));
  }
}

TEST_CASE("optimizers: saved and loaded, each goes on with the same bits") {
  for (const std::string& name : optimizer_names()) {
    CAPTURE(name);
    const auto run = [&](bool interrupted) {
      MatrixAndVector module(DType::f32);
      auto optimizer = make_optimizer(name, module, config());
      for (uint64_t step = 0; step < 4; ++step) {
        module.set_gradients(step);
        optimizer->step(1e-2, grad_squares(module));
        if (!interrupted || step != 1) continue;
        std::vector<NamedTensor> saved;
        for (const auto& s : optimizer->state()) saved.push_back({s.name, s.tensor.clone()});
        const int64_t steps = optimizer->steps();
        optimizer = make_optimizer(name, module, config());
        optimizer->load_state(saved, steps);
      }
      return module.matrix.clone();
    };
    CHECK(same_bits(run(false), run(true)));
  }
}

TEST_CASE("optimizers: parameters of 16 bits are rounded by chance, so that small steps count") {
  for (const std::string name : {"sgd", "lion", "adam"}) {
    CAPTURE(name);
    MatrixAndVector module;
    module.matrices_to(DType::bf16);
    module.matrix.fill_(1);
    OptimizerConfig c = config();
    c.weight_decay = c.momentum = 0;
    const auto optimizer = make_optimizer(name, module, c);
    for (int t = 0; t < 400; ++t) {
      set_grad(module.matrix, full({3, 2}, -1));
      optimizer->step(0x1p-12, grad_squares(module));
    }
    double mean = 0;
    for (const double p : module.matrix.to_vector<double>()) mean += p / 6;
    // 1.0977 exactly; 6 elements of 400 steps, each of variance below 2⁻¹² 2⁻⁷: σ = 0.0011
    CHECK(mean == doctest::Approx(1 + 400 * 0x1p-12).epsilon(0.005));
  }
}

TEST_CASE("optimizers: what is not there is refused by name") {
  MatrixAndVector module;
  CHECK(contains(error_of([&] { make_optimizer("adagrad", module, {}); }),
                 "'adagrad' is unknown; it must be one of adamw, adam, sgd, lion"));
  CHECK(contains(error_of([&] { make_optimizer("sgd", module, {.half_moments = true}); }),
                 "moments in f16 are kept by adamw, not by sgd"));
  const auto adamw_state = make_optimizer("adamw", module, {})->state();
  CHECK(contains(error_of([&] { make_optimizer("sgd", module, {})->load_state(adamw_state, 1); }),
                 "no momentum.matrix in the checkpoint"));
  module.lock();
  CHECK(contains(error_of([&] { make_optimizer("adamw", module, {}); }),
                 "all parameters are locked"));
}

TEST_CASE("schedules: open_clip's formulas, and a line") {
  const Schedule s{"", 10, 110, 20, 2, 0.1};
  const auto rate = [&](const char* name, int64_t step) {
    Schedule named = s;
    named.name = name;
    return rate_at(named, 2, step);
  };
  for (const std::string& name : schedule_names()) {
    CHECK(rate(name.c_str(), 0) == doctest::Approx(0.2));
    CHECK(rate(name.c_str(), 9) == 2);
    CHECK(rate(name.c_str(), 10) == 2);
  }
  CHECK(rate("cosine", 60) == doctest::Approx(1));
  CHECK(rate("const", 109) == 2);
  CHECK(rate("linear", 60) == doctest::Approx(1));
  CHECK(rate("linear", 109) == doctest::Approx(0.02));
  CHECK(rate("const-cooldown", 90) == 2);
  CHECK(rate("const-cooldown", 100) == doctest::Approx(0.1 + 1.9 * 0.25));
  CHECK(contains(error_of([&] { rate("step", 20); }), "'step' is unknown"));
}

TEST_CASE("places: every parameter has its layer, and rates fall from the output down") {
  const auto at = [](const ModelConfig& c, const std::string& name) {
    const TowerPlace place = place_of(name, c);
    return std::pair{place.layer, place.last};
  };
  const ModelConfig vit = preset("ViT-B-32"), resnet = preset("RN50");
  using Pair = std::pair<int64_t, int64_t>;
  CHECK(at(vit, "visual.conv1.weight") == Pair{0, 13});
  CHECK(at(vit, "visual.ln_pre.bias") == Pair{0, 13});
  CHECK(at(vit, "visual.transformer.resblocks.11.ln_1.weight") == Pair{12, 13});
  CHECK(at(vit, "visual.proj") == Pair{13, 13});
  CHECK(at(vit, "token_embedding.weight") == Pair{0, 13});
  CHECK(at(vit, "transformer.resblocks.0.mlp.c_fc.bias") == Pair{1, 13});
  CHECK(at(vit, "text_projection") == Pair{13, 13});
  CHECK(at(resnet, "visual.bn3.weight") == Pair{0, 5});
  CHECK(at(resnet, "visual.layer4.2.conv3.weight") == Pair{4, 5});
  CHECK(at(resnet, "visual.attnpool.positional_embedding") == Pair{5, 5});
  TuningConfig tuning;
  tuning.image_rate = 0.1;
  tuning.layer_decay = 0.5;
  CHECK(rate_of(place_of("visual.proj", vit), tuning) == 0.1);
  CHECK(rate_of(place_of("transformer.resblocks.10.ln_1.bias", vit), tuning) == 0.25);
  CHECK(rate_of(place_of("logit_scale", vit), tuning) == 1);
}
