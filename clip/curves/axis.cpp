// clip/curves/axis.cpp — round numbers.
#include "clip/curves/axis.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <tuple>

namespace diptych::curves {
namespace {

double power(int exponent) { return std::pow(10.0, exponent); }
int exponent_of(double x) { return static_cast<int>(std::floor(std::log10(x) + 1e-9)); }

// The least of 1, 2, 5, 10 times a power of ten that is not less than `least`.
double round_step(double least) {
  const double unit = power(exponent_of(least));
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * unit >= least * (1 - 1e-9)) return factor * unit;
  return 10 * unit;
}

// Axes of a single value get some room around it.
void widen(double& low, double& high) {
  if (high - low > 1e-9 * std::max(std::abs(low), std::abs(high))) return;
  const double room = high == 0 ? 1 : std::abs(high) / 10;
  low -= room;
  high += room;
}

std::string in_unit_of(double largest, double value) {
  constexpr std::tuple<double, double, const char*> kUnits[] = {
      {1e12, 1e12, "T"}, {1e9, 1e9, "G"}, {1e6, 1e6, "M"}, {1e4, 1e3, "k"}};
  if (value == 0) return "0";
  if (largest >= 1e15 || largest < 0.01) {
    const int exponent = exponent_of(largest);
    return fmt::format("{:.4g}e{}", value / power(exponent), exponent);
  }
  for (const auto& [from, unit, name] : kUnits)
    if (largest >= from) return fmt::format("{:.4g}{}", value / unit, name);
  return fmt::format("{:.4g}", value);
}

}  // namespace

double Axis::place(double value) const {
  const double v = std::clamp(value, low, high);
  return logarithmic ? std::log(v / low) / std::log(high / low) : (v - low) / (high - low);
}

Axis linear_axis(double low, double high, int ticks, bool whole) {
  widen(low, high);
  const double step = round_step((high - low) / ticks);
  double first = std::ceil(low / step - 1e-9), last = std::floor(high / step + 1e-9);
  if (whole) {
    first = std::floor(low / step + 1e-9);
    last = std::ceil(high / step - 1e-9);
  }
  Axis axis{low, high, false, {}};
  for (double i = first; i <= last; ++i) axis.ticks.push_back(i == 0 ? 0 : i * step);
  if (whole) {
    axis.low = std::min(low, first * step);
    axis.high = std::max(high, last * step);
  }
  return axis;
}

Axis logarithmic_axis(double low, double high, int ticks) {
  const int first = exponent_of(low), last = static_cast<int>(std::ceil(std::log10(high) - 1e-9));
  Axis axis{low, high, true, {}};
  const int decades = std::max(1, last - first);
  const int every = (decades + ticks - 1) / ticks;
  const bool between = decades <= ticks / 3;
  for (int e = first; e <= last; e += every)
    for (const double factor : {1.0, 2.0, 5.0})
      if (factor == 1 || between) axis.ticks.push_back(factor * power(e));
  // From the last tick below to the first above.
  const auto& t = axis.ticks;
  const auto above = std::lower_bound(t.begin(), t.end(), high * (1 - 1e-9));
  const auto below = std::upper_bound(t.begin(), t.end(), low * (1 + 1e-9));
  axis.ticks = {below == t.begin() ? below : below - 1, above == t.end() ? above : above + 1};
  axis.low = std::min(low, axis.ticks.front());
  axis.high = std::max(high, axis.ticks.back());
  if (axis.low == axis.high) axis.high *= 2;
  return axis;
}

std::string Axis::label(double tick) const {
  const double largest = logarithmic ? tick : std::max(std::abs(low), std::abs(high));
  return in_unit_of(largest, tick);
}

}  // namespace diptych::curves
