// tests/test_precision.cpp — mixed precision: gradients beside f32's, what is kept in which type,
// and copies that are never out of date.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <cmath>
#include <map>
#include <set>

#include "autograd/ops.h"
#include "clip/loss.h"
#include "tests/precisions.h"
#include "tests/squares.h"

using namespace diptych;
using namespace diptych::test;

namespace {

constexpr int64_t kBatch = 16;

using Gradients = std::vector<std::pair<std::string, std::vector<double>>>;

// Of the loss, not of its multiple that f16 needs.
Gradients gradients(const std::string& preset_name, const PrecisionConfig& precision) {
  Clip model(preset(preset_name));
  model.initialize(7);
  model.use(precision);
  const RandomPairs pairs = random_pairs(model.config(), kBatch, 5);
  double scale = precision.precision == Precision::amp_fp16 ? 65536 : 1;
  accumulate_gradients(model, pairs.pixels, pairs.captions, {scale});
  while (!std::isfinite(nn::grad_norm(model))) {  // as training finds it
    model.zero_grad();
    scale /= 2;
    REQUIRE(scale >= 1);
    accumulate_gradients(model, pairs.pixels, pairs.captions, {scale});
  }
  Gradients all;
  for (const auto& entry : model.named_parameters()) {
    CAPTURE(entry.name);
    REQUIRE(grad(entry.tensor).defined());
    CHECK(grad(entry.tensor).dtype() == DType::f32);
    all.emplace_back(entry.name, grad(entry.tensor).to_vector<double>());
    for (double& x : all.back().second) x /= scale;
  }
  return all;
}

double squares(const std::vector<double>& x) {
  double sum = 0;
  for (const double v : x) sum += v * v;
  return sum;
}

std::vector<double> minus(std::vector<double> a, const std::vector<double>& b) {
  for (size_t i = 0; i < a.size(); ++i) a[i] -= b[i];
  return a;
}

/// ‖g - exact‖ / ‖exact‖ over all parameters, and of the worst of them.
struct Errors {
  double all = 0, worst = 0;
  std::string worst_name;
};

Errors errors(const Gradients& g, const Gradients& exact) {
  double difference = 0, norm = 0;
  Errors e;
  for (size_t i = 0; i < g.size(); ++i) {
    const auto& [name, values] = exact[i];
    const double d = squares(minus(g[i].second, values)), n = squares(values);
    CAPTURE(name);
    if (n > 0) CHECK(squares(g[i].second) > 0);
    difference += d;
    norm += n;
    if (n > 0 && d / n > e.worst * e.worst) e.worst = std::sqrt(d / n), e.worst_name = name;
  }
  e.all = std::sqrt(difference / norm);
  return e;
}

}  // namespace

TEST_CASE("precision: gradients beside f32's") {
  std::string table = "relative error of the gradients: all, and the worst parameter\n";
  for (const std::string& model : preset_names()) {
    if (!model.starts_with("tiny")) continue;
    const Gradients exact = gradients(model, {});
    for (const PrecisionConfig& c : all_precisions()) {
      if (c.adam_stats == DType::f16) continue;
      const std::string what = model + ", " + label(c);
      CAPTURE(what);
      const Errors e = errors(gradients(model, c), exact);
      table += fmt::format("  {:<48} {:.1e}  {:.1e} {}\n", what, e.all, e.worst, e.worst_name);
    }
  }
  MESSAGE(table);
}
