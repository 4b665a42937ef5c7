// tests/test_kernels_rounding.cpp — how kernels round f32 to 16 bits: to nearest even against
// arithmetic in f64, and by chance against what chance must do.
#include <algorithm>
#include <bit>
#include <limits>

#include "tensor/philox.h"
#include "tensor/rounding.h"
#include "tests/kernel_reference.h"

namespace diptych::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// What a 16-bit type is, by IEEE's parameters.
struct Format {
  DType dtype;
  int precision;  // bits, with the one in front
  int smallest;   // exponent of normal numbers, at least
  double largest;

  /// Between x and its neighbours.
  double step(double x) const {
    return std::ldexp(1, (x == 0 ? smallest : std::max(std::ilogb(x), smallest)) - precision + 1);
  }
  /// By f64, which has room for every number of steps: nearbyint goes to the nearest, ties to even.
  double nearest(double x) const {
    if (!std::isfinite(x)) return x;
    const double y = std::nearbyint(x / step(x)) * step(x);
    return std::fabs(y) > largest ? std::copysign(kInfinity, x) : y;
  }
};
constexpr Format kFormats[] = {{DType::f16, 11, -14, 65504}, {DType::bf16, 8, -126, 0x1.FEp127}};

Tensor on_device(const std::vector<float>& x) {
  return from_vector(x, {static_cast<int64_t>(x.size())}).to(here);
}

std::vector<float> floats(const Tensor& x) { return x.to(DType::f32).to_vector<float>(); }

bool same(double a, double b) {
  return std::isnan(a) ? std::isnan(b) : a == b && std::signbit(a) == std::signbit(b);
}

int64_t wrong_roundings(const Format& format, const std::vector<float>& x) {
  Tensor y = empty({static_cast<int64_t>(x.size())}, format.dtype);
  kernel::copy(here, on_device(x), y);
  const std::vector<float> got = floats(y);
  int64_t wrong = 0;
  for (size_t i = 0; i < x.size(); ++i) wrong += !same(got[i], format.nearest(x[i]));
  return wrong;
}

/// Every number of the format that is not NaN.
std::vector<float> all_values(const Format& format) {
  std::vector<float> all;
  for (uint32_t i = 0; i < 65536; ++i) {
    f16 half;
    bf16 upper;
    half.bits = upper.bits = static_cast<uint16_t>(i);
    const float x = format.dtype == DType::f16 ? static_cast<float>(half) : upper;
    if (!std::isnan(x)) all.push_back(x);
  }
  return all;
}

/// A million, or what slow checkers can bear, of any bits; every second one with an exponent that
/// f16 knows, or nearly.
std::vector<float> random_floats() {
  const int64_t n = std::min<int64_t>(1000000, most_elements());
  std::vector<float> x;
  PhiloxStream random(5, 0);
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t bits = random.next();
    const uint32_t exponent = 127 - 27 + bits % 45;
    x.push_back(std::bit_cast<float>(i % 2 ? bits : (bits & 0x807fffffu) | exponent << 23));
  }
  return x;
}

Tensor rounded(Seed seed, const Tensor& x, DType t) {
  Tensor y = empty(x.shape(), t);
  kernel::round_stochastic(here, seed, x, y);
  return y;
}

/// 1 where 1 and a half step of it became more than 1: a fair coin for each element.
std::vector<int> coins(Seed seed, int64_t n, const Format& format) {
  const Tensor x = full({n}, 1 + format.step(1) / 2);
  std::vector<int> heads;
  for (const float y : floats(rounded(seed, x, format.dtype))) heads.push_back(y > 1);
  return heads;
}

/// Whether a and b show the same side half of the time, within 4.5 σ; `apart`: a_i and b_(i+apart).
bool independent(const std::vector<int>& a, const std::vector<int>& b, size_t apart = 0) {
  int sum = 0, n = 0;
  for (size_t i = 0; i + apart < a.size(); ++i, ++n) sum += a[i] == b[i + apart] ? 1 : -1;
  return std::abs(sum) <= 4.5 * std::sqrt(n);
}

/// Of some sizes: near 0, subnormal, near 1, large, larger than the largest.
std::vector<float> forty_values(const Format& format) {
  std::vector<float> x;
  const double tiny = std::ldexp(1, format.smallest);
  for (int i = 1; i <= 10; ++i) {
    const double part = i / 11.0;
    x.push_back(static_cast<float>(tiny * part * part / 16));
    x.push_back(static_cast<float>(-tiny * (1 + part)));
    x.push_back(static_cast<float>(1 + format.step(1) * (i + part)));
    x.push_back(static_cast<float>(-format.largest * part));
  }
  return x;
}

}  // namespace

KERNEL_TEST("rounding: to nearest is IEEE's for every result: values, midpoints, neighbours") {
  for (const Format& format : kFormats) {
    std::vector<float> x;
    for (const float value : all_values(format)) {
      const double up = format.step(value) / 2;
      const auto middle = static_cast<float>(value + std::copysign(up, value));
      for (const float at : {value, middle}) {
        x.push_back(at);
        x.push_back(std::nextafter(at, 0.0f));
        x.push_back(std::nextafter(at, std::copysign(kInfinity, at)));
      }
    }
    CHECK(x.size() > 6 * 63000);
    CHECK(wrong_roundings(format, x) == 0);
  }
}

KERNEL_TEST("rounding: to nearest is IEEE's for a million random floats, subnormals, NaN") {
  const std::vector<float> x = random_floats();
  CHECK(std::any_of(x.begin(), x.end(), [](float v) { return std::isnan(v); }));
  for (const Format& format : kFormats) {
    CHECK(wrong_roundings(format, x) == 0);
    CHECK(wrong_roundings(format, {0.0f, -0.0f, kInfinity, -kInfinity, NAN, -NAN, 65519.0f,
                                   65520.0f, -65520.0f, 0x1.FEFFFEp127f, 0x1.FFp127f}) == 0);
  }
}

KERNEL_TEST("stochastic rounding: 40 values go up as often as they are near, 20,000 times each") {
  constexpr int64_t kDraws = 20000;
  for (const Format& format : kFormats) {
    for (const float x : forty_values(format)) {
      CAPTURE(x);
      const double step = format.step(x), low = std::floor(x / step) * step,
                   part = (x - low) / step;
      REQUIRE(0 < part);
      double ups = 0;
      for (const float y : floats(rounded({1, 2}, full({kDraws}, x), format.dtype))) {
        REQUIRE((y == low || y == low + step));
        ups += y != low;
      }
      CHECK(std::fabs(ups - kDraws * part) <= 4.5 * std::sqrt(kDraws * part * (1 - part)));
    }
  }
}

KERNEL_TEST("stochastic rounding: neighbours in memory, seeds and streams know nothing of it") {
  constexpr int64_t n = 20000;
  for (const Format& format : kFormats) {
    const std::vector<int> a = coins({3, 8}, n, format);
    for (const size_t apart : {1u, 2u, 3u, 4u, 8u, 512u}) CHECK(independent(a, a, apart));
    CHECK(independent(a, coins({4, 8}, n, format)));
    CHECK(independent(a, coins({3, 9}, n, format)));
    CHECK(a == coins({3, 8}, n, format));
  }
}

KERNEL_TEST("stochastic rounding: 400 updates of 2^-12 arrive on average, to nearest none does") {
  constexpr int64_t n = 4096;
  constexpr double kUpdate = 0x1p-12, kStep = 0x1p-7;  // of bf16 between 1 and 2
  const Tensor update = full({n}, kUpdate);
  Tensor chance = full({n}, 1), nearest = full({n}, 1, DType::bf16);
  for (uint64_t t = 1; t <= 400; ++t) {
    kernel::axpy(here, 1, update, chance);
    chance = rounded({7, mix(1, t)}, chance, DType::bf16).to(DType::f32);
    Tensor sum = nearest.to(DType::f32);
    kernel::axpy(here, 1, update, sum);
    nearest = sum.to(DType::bf16);
  }
  CHECK(values(nearest) == Values(n, 1.0));
  double mean = 0, most = 0;
  for (const double x : values(chance)) mean += (x - 1) / n, most = std::max(most, x);
  const double p = kUpdate / kStep, sigma = kStep * std::sqrt(400 * p * (1 - p));
  CHECK(std::fabs(mean - 400 * kUpdate) <= 4.5 * sigma / std::sqrt(n));
  CHECK(most < 1 + 400 * kUpdate + 6 * sigma);  // none goes up always
}

KERNEL_TEST(
    "stochastic rounding: what the type represents never changes; infinities and NaN stay") {
  for (const Format& format : kFormats) {
    std::vector<float> x = all_values(format);
    x.push_back(NAN);
    const std::vector<float> y = floats(rounded({1, 1}, on_device(x), format.dtype));
    int64_t changed = 0;
    for (size_t i = 0; i < x.size(); ++i) changed += !same(x[i], y[i]);
    CHECK(changed == 0);
  }
}

KERNEL_TEST("stochastic rounding: to one of two neighbours, and what is finite stays finite") {
  std::vector<float> x = random_floats();
  for (const float large : {65505.0f, 65519.0f, 65520.0f, 1e6f, 0x1.FE0002p127f, 0x1.FFFFFEp127f})
    x.insert(x.end(), {large, -large, large, -large});
  for (const Format& format : kFormats) {
    const std::vector<float> y = floats(rounded({1, 1}, on_device(x), format.dtype));
    int64_t wrong = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      if (!std::isfinite(x[i])) continue;
      const double step = format.step(x[i]), bounded = std::copysign(format.largest, x[i]);
      const double low = std::floor(x[i] / step) * step, high = std::ceil(x[i] / step) * step;
      wrong += std::fabs(x[i]) >= format.largest ? y[i] != bounded : y[i] != low && y[i] != high;
      wrong += std::signbit(x[i]) != std::signbit(y[i]);
    }
    CHECK(wrong == 0);
  }
}

KERNEL_TEST("stochastic rounding: element i takes word i, at any address, for any threads") {
  const Tensor all = normal({70001});
  for (const DType t : {DType::f16, DType::bf16}) {
    for (const int64_t first : {0, 1}) {
      const Tensor x = all.slice(0, first, 70001), y = full({70001}, 5, t);
      Tensor part = y.slice(0, first, 70001);
      kernel::round_stochastic(here, {9, 4}, x, part);
      const std::vector<float> from = floats(x), got = floats(part);
      PhiloxStream words(9, 4);
      int64_t wrong = 0;
      for (size_t i = 0; i < from.size(); ++i) {
        const uint32_t word = words.next();
        wrong +=
            got[i] != (t == DType::f16 ? static_cast<float>(round_stochastic<f16>(from[i], word))
                                       : round_stochastic<bf16>(from[i], word));
      }
      CHECK(wrong == 0);
      if (first == 1) CHECK(floats(y)[0] == 5);
    }
    check_same_bits([&] { return std::vector{rounded({9, 4}, all, t)}; });
    CHECK(rounded({9, 4}, empty({0}), t).numel() == 0);
  }
}

TEST_CASE("stochastic rounding: exactly so many words of all round up as the value is near") {
  const auto ups = [](auto round, float x, int bits) {
    int64_t count = 0;
    const float low = std::min(round(x, 0u), round(x, ~0u));
    CHECK(low <= x);
    for (uint64_t k = 0; k < uint64_t{1} << bits; ++k)
      count += round(x, static_cast<uint32_t>(k << (32 - bits))) > low;
    return count;
  };
  const auto to_bf16 = [](float x, uint32_t word) -> float {
    return round_stochastic<bf16>(x, word);
  };
  const auto to_f16 = [](float x, uint32_t word) -> float {
    return round_stochastic<f16>(x, word);
  };
  for (const int64_t part : {1, 2, 12345, 32768, 65535}) {
    const auto x = std::bit_cast<float>(0x3f800000u + static_cast<uint32_t>(part));
    CHECK(ups(to_bf16, x, 16) == part);
    CHECK(ups(to_bf16, std::ldexp(x, -126), 16) == part);  // the smallest normal
    CHECK(ups(to_bf16, std::ldexp(static_cast<float>(part), -149), 16) == part);  // near 0
  }
  for (const int64_t part : {1, 2, 1234, 4096, 8191}) {
    const auto x = std::bit_cast<float>(0x3f800000u + static_cast<uint32_t>(part));
    CHECK(ups(to_f16, x, 13) == part);
    CHECK(ups(to_f16, std::ldexp(x, -14), 13) == part);
    CHECK(ups(to_f16, std::ldexp(static_cast<float>(3 * 8192 + part), -37), 13) == part);
  }
}

}  // namespace diptych::test
