// tests/test_scalar_math.cpp — accuracy of the vectorisable exp, tanh, erf and sigmoid in f32.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "tensor/scalar_ops.h"

namespace diptych::test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// Calls f on every 1009th float of either sign with magnitude in [low, high].
template <class F>
void sweep(float low, float high, const F& f) {
  const auto last = std::bit_cast<uint32_t>(high);
  for (auto bits = std::bit_cast<uint32_t>(low); bits <= last; bits += 1009) {
    f(std::bit_cast<float>(bits));
    f(-std::bit_cast<float>(bits));
  }
}

/// |got - want| in units of the last place of want in f32.
double ulps(float got, double want) {
  const auto rounded = static_cast<float>(std::fabs(want));
  const double step = static_cast<double>(std::nextafter(rounded, kInf)) - rounded;
  return std::fabs(got - want) / step;
}

}  // namespace

TEST_CASE("scalar_math: exp is within 2 ulp wherever the result is normal") {
  double most = 0;
  sweep(1e-30f, 88.7228f, [&](float x) {
    if (x >= -87.3365f) most = std::max(most, ulps(scalar::exp(x), std::exp(double{x})));
  });
  CHECK(most <= 2);
}

TEST_CASE("scalar_math: exp of zeros, subnormals, infinities, NaN and beyond the range") {
  CHECK(scalar::exp(0.0f) == 1);
  CHECK(scalar::exp(-0.0f) == 1);
  CHECK(scalar::exp(1e-40f) == 1);
  CHECK(scalar::exp(-1e-40f) == 1);
  CHECK(scalar::exp(kInf) == kInf);
  CHECK(scalar::exp(-kInf) == 0);
  CHECK(scalar::exp(88.723f) == kInf);
  CHECK(scalar::exp(1e30f) == kInf);
  CHECK(scalar::exp(-87.34f) == 0);
  CHECK(scalar::exp(-1e30f) == 0);
  CHECK(std::isnan(scalar::exp(kNan)));
}

TEST_CASE("scalar_math: tanh is within 3 ulp, odd, and bounded by one") {
  double most = 0;
  bool odd = true, bounded = true;
  sweep(1e-30f, 1e3f, [&](float x) {
    const float y = scalar::tanh(x);
    most = std::max(most, ulps(y, std::tanh(double{x})));
    odd = odd && y == -scalar::tanh(-x);
    bounded = bounded && std::fabs(y) <= 1;
  });
  CHECK(most <= 3);
  CHECK(odd);
  CHECK(bounded);
  CHECK(scalar::tanh(kInf) == 1);
  CHECK(scalar::tanh(-kInf) == -1);
  CHECK(std::bit_cast<uint32_t>(scalar::tanh(-0.0f)) == std::bit_cast<uint32_t>(-0.0f));
  CHECK(scalar::tanh(1e-40f) == 1e-40f);
  CHECK(std::isnan(scalar::tanh(kNan)));
}

TEST_CASE("scalar_math: erf is within 2e-7 and odd") {
  double most = 0;
  bool odd = true;
  sweep(1e-30f, 1e3f, [&](float x) {
    most = std::max(most, std::fabs(scalar::erf(x) - std::erf(double{x})));
    odd = odd && scalar::erf(x) == -scalar::erf(-x);
  });
  CHECK(most <= 2e-7);
  CHECK(odd);
  CHECK(scalar::erf(0.0f) == 0);
  CHECK(scalar::erf(kInf) == 1);
  CHECK(scalar::erf(-kInf) == -1);
  CHECK(scalar::erf(1e-40f) == doctest::Approx(1.1283792e-40).epsilon(1e-4).scale(0));
  CHECK(std::isnan(scalar::erf(kNan)));
}

TEST_CASE("scalar_math: sigmoid is within 3 ulp from -80 up, and never leaves [0, 1]") {
  double most = 0;
  bool bounded = true;
  sweep(1e-30f, 1e3f, [&](float x) {
    const float y = scalar::sigmoid(x);
    if (x >= -80) most = std::max(most, ulps(y, 1 / (1 + std::exp(-double{x}))));
    bounded = bounded && y >= 0 && y <= 1;
  });
  CHECK(most <= 3);
  CHECK(bounded);
  CHECK(scalar::sigmoid(kInf) == 1);
  CHECK(scalar::sigmoid(-kInf) == 0);
  CHECK(std::isnan(scalar::sigmoid(kNan)));
}

TEST_CASE("scalar_math: all three kinds of gelu are near their f64 values") {
  double gelu = 0, tanh = 0, quick = 0;
  sweep(1e-30f, 30.0f, [&](float x) {
    const double scale = 1 + std::fabs(double{x});
    gelu = std::max(gelu, std::fabs(scalar::Gelu::f(x) - scalar::Gelu::f(double{x})) / scale);
    tanh =
        std::max(tanh, std::fabs(scalar::GeluTanh::f(x) - scalar::GeluTanh::f(double{x})) / scale);
    quick = std::max(quick,
                     std::fabs(scalar::QuickGelu::f(x) - scalar::QuickGelu::f(double{x})) / scale);
  });
  CHECK(gelu <= 2e-7);
  CHECK(tanh <= 2e-7);
  CHECK(quick <= 2e-7);
}

}  // namespace diptych::test
