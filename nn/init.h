// nn/init.h — how a parameter is drawn.
#pragma once

#include <cmath>
#include <cstdint>

namespace diptych::nn {

/// The distribution of a parameter's first values. It stands where the parameter is declared; the
/// numbers depend on (seed, full name of the parameter, element) alone.
struct Init {
  enum class Kind : uint8_t { constant, normal, uniform };
  Kind kind = Kind::constant;
  double value = 0;  ///< the constant; the standard deviation; the bound of (-value, value)

  static Init constant(double value) { return {Kind::constant, value}; }
  static Init normal(double std) { return {Kind::normal, std}; }
  static Init uniform(double bound) { return {Kind::uniform, bound}; }

  /// PyTorch's default for linear and convolution weights and their biases, kaiming_uniform(a =
  /// √5): uniform within ±1 / √fan_in.
  static Init fan_in(int64_t n) { return uniform(1 / std::sqrt(static_cast<double>(n))); }
  /// The same for a convolution kernel of k × k over n channels.
  static Init fan_in(int64_t n, int64_t k) {
    const auto side = static_cast<double>(k);  // k² n might overflow
    return uniform(1 / std::sqrt(static_cast<double>(n) * side * side));
  }
  /// Glorot and Bengio (2010): uniform within ±√(6 / (fan_in + fan_out)).
  static Init xavier(int64_t in, int64_t out) {
    return uniform(std::sqrt(6 / static_cast<double>(in + out)));
  }
};

}  // namespace diptych::nn
