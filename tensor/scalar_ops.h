// tensor/scalar_ops.h — element-wise operators: each a scalar function with its derivative, written
// once for host and device. Those of one operand; scalar_binary.h has those of two. Backends
// instantiate their loops from the lists at the end.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "tensor/scalar_binary.h"
#include "tensor/scalar_math.h"

namespace diptych {

/// What the derivative of a unary operator is a function of: nothing but constants, x, or y = f(x).
/// The tape saves just that.
enum class Needs : uint8_t { nothing, input, output };

namespace scalar {

/// y = -x
struct Neg {
  static constexpr Needs needs = Needs::nothing;
  template <class T>
  DIPTYCH_HD static T f(T x) {
    return -x;
  }
  template <class T>
  DIPTYCH_HD static T df(T) {
    return T(-1);
  }
};

/// y = eˣ;  dy/dx = y
struct Exp {
  static constexpr Needs needs = Needs::output;
  template <class T>
  DIPTYCH_HD static T f(T x) {
    return scalar::exp(x);
  }
  template <class T>
  DIPTYCH_HD static T df(T y) {
    return y;
  }
};

/// y = ln x;  dy/dx = 1 / x.  NaN below zero, -inf at zero
struct Log {
  static constexpr Needs needs = Needs::input;
  template <class T>
  DIPTYCH_HD static T f(T x) {
    return std::log(x);
  }
  template <class T>
  DIPTYCH_HD static T df(T x) {
    return T(1) / x;
  }
};

/// y = √x;  dy/dx = 1 / (2 y)
struct Sqrt {
  static constexpr Needs needs = Needs::output;
  template <class T>
  DIPTYCH_HD static T f(T x) {
    return std::sqrt(x);
  }
  template <class T>
  DIPTYCH_HD static T df(T y) {
    return T(0.5) / y;
  }
};

/// y = x²;  dy/dx = 2 x
struct Square {
  static constexpr Needs needs = Needs::input;
  template <class T>
  DIPTYCH_HD static T f(T x) {
    return x * x;
  }
  template <class T>
  DIPTYCH_HD static T df(T x) {
    return T(2) * x;
  }
};

/// y = |x|;  dy/dx = 1 for x > 0, -1 for x < 0, 0 at 0
struct Abs {
  static constexpr Needs needs = Needs::input;
  template <class T>
  DIPTYCH_HD static T f(T x) {
    return std::fabs(x);
  }
  template <class T>
  DIPTYCH_HD static T df(T x) {
    return x > T(0) ? T(1) : x < T(0) ? T(-1) : x;  // x: 0 or NaN
  }
};

/// y = sin x;  dy/dx = cos x
struct Sin {
  static constexpr Needs needs = Needs::input;
  template <class T>
  DIPTYCH_HD static T f(T x) {
    return std::sin(x);
  }
  template <class T>
  DIPTYCH_HD static T df(T x) {
    return std::cos(x);
  }
};

/// y = cos x;  dy/dx = -sin x
struct Cos {
  static constexpr Needs needs = Needs::input;
  template <class T>
  DIPTYCH_HD static T f(T x) {
    return std::cos(x);
  }
  template <class T>
  DIPTYCH_HD static T df(T x) {
    return -std::sin(x);
  }
};

/// y = tanh x;  dy/dx = 1 - y²
struct Tanh {
  static constexpr Needs needs = Needs::output;
  template <class T>
  DIPTYCH_HD static T f(T x) {
    return scalar::tanh(x);
  }
  template <class T>
  DIPTYCH_HD static T df(T y) {
    return T(1) - y * y;
  }
};

/// y = 1 / (1 + e⁻ˣ);  dy/dx = y (1 - y)
struct Sigmoid {
  static constexpr Needs needs = Needs::output;
  template <class T>
  DIPTYCH_HD static T f(T x) {
    return sigmoid(x);
  }
  template <class T>
  DIPTYCH_HD static T df(T y) {
    return y * (T(1) - y);
  }
};

/// y = max(x, 0);  dy/dx = 1 for x > 0, else 0. NaN stays NaN
struct Relu {
  static constexpr Needs needs = Needs::output;
  template <class T>
  DIPTYCH_HD static T f(T x) {
    return x < T(0) ? T(0) : x;
  }
  template <class T>
  DIPTYCH_HD static T df(T y) {
    return y > T(0) ? T(1) : T(0);
  }
};

/// GELU (Hendrycks and Gimpel, 2016), x Φ(x) with Φ(x) = (1 + erf(x / √2)) / 2;
/// dy/dx = Φ(x) + x φ(x) with φ(x) = exp(-x² / 2) / √(2π)
struct Gelu {
  static constexpr Needs needs = Needs::input;
  template <class T>
  DIPTYCH_HD static T cdf(T x) {
    return T(0.5) * (T(1) + scalar::erf(x * T(0.70710678118654752)));
  }
  template <class T>
  DIPTYCH_HD static T f(T x) {
    return x * cdf(x);
  }
  template <class T>
  DIPTYCH_HD static T df(T x) {
    return cdf(x) + x * T(0.39894228040143268) * scalar::exp(T(-0.5) * x * x);
  }
};

/// GELU's approximation by tanh (Hendrycks and Gimpel, 2016, section 2), x (1 + t) / 2 with
/// t = tanh u and u = √(2 / π) (x + 0.044715 x³);  dy/dx = (1 + t + x (1 - t²) du/dx) / 2
struct GeluTanh {
  static constexpr Needs needs = Needs::input;
  template <class T>
  DIPTYCH_HD static T inner(T x) {
    return scalar::tanh(T(0.79788456080286536) * (x + T(0.044715) * x * x * x));
  }
  template <class T>
  DIPTYCH_HD static T f(T x) {
    return T(0.5) * x * (T(1) + inner(x));
  }
  template <class T>
  DIPTYCH_HD static T df(T x) {
    const T t = inner(x), du = T(0.79788456080286536) * (T(1) + T(0.134145) * x * x);
    return T(0.5) * (T(1) + t + x * (T(1) - t * t) * du);
  }
};

/// QuickGELU, x s with s = sigmoid(1.702 x), as in the original CLIP;  dy/dx = s + 1.702 x s (1 -
/// s)
struct QuickGelu {
  static constexpr Needs needs = Needs::input;
  template <class T>
  DIPTYCH_HD static T f(T x) {
    return x * sigmoid(T(1.702) * x);
  }
  template <class T>
  DIPTYCH_HD static T df(T x) {
    const T s = sigmoid(T(1.702) * x);
    return s + T(1.702) * x * s * (T(1) - s);
  }
};

/// SiLU, also called Swish (Elfwing et al., 2017), x σ(x) with σ(x) = 1 / (1 + e⁻ˣ);
/// dy/dx = σ(x) (1 + x (1 - σ(x)))
struct Silu {
  static constexpr Needs needs = Needs::input;
  template <class T>
  DIPTYCH_HD static T f(T x) {
    return x * sigmoid(x);
  }
  template <class T>
  DIPTYCH_HD static T df(T x) {
    const T s = sigmoid(x);
    return s + x * s * (T(1) - s);
  }
};

}  // namespace scalar

// The lists: X(functor, name). An operator exists on every backend once it stands here.

#define DIPTYCH_UNARY_OPS(X) \
  X(Neg, neg)                \
  X(Exp, exp)                \
  X(Log, log)                \
  X(Sqrt, sqrt)              \
  X(Square, square)          \
  X(Abs, abs)                \
  X(Sin, sin)                \
  X(Cos, cos)                \
  X(Tanh, tanh)              \
  X(Sigmoid, sigmoid)        \
  X(Relu, relu)              \
  X(Gelu, gelu)              \
  X(GeluTanh, gelu_tanh)     \
  X(QuickGelu, quick_gelu)   \
  X(Silu, silu)

#define DIPTYCH_BINARY_OPS(X) \
  X(Add, add)                 \
  X(Sub, sub)                 \
  X(Mul, mul)                 \
  X(Div, div)                 \
  X(Maximum, maximum)         \
  X(Minimum, minimum)         \
  X(Pow, pow)

#define DIPTYCH_ENUMERATOR(functor, name) name,
enum class Unary : uint8_t { DIPTYCH_UNARY_OPS(DIPTYCH_ENUMERATOR) };
enum class Binary : uint8_t { DIPTYCH_BINARY_OPS(DIPTYCH_ENUMERATOR) };
#undef DIPTYCH_ENUMERATOR

#define DIPTYCH_CASE(functor, name) \
  case Enum::name:                  \
    return f(scalar::functor{});

/// Calls f(functor) with the functor of `op`.
template <class F>
decltype(auto) visit_unary(Unary op, F&& f) {
  using Enum = Unary;
  switch (op) { DIPTYCH_UNARY_OPS(DIPTYCH_CASE) }
  __builtin_unreachable();
}

template <class F>
decltype(auto) visit_binary(Binary op, F&& f) {
  using Enum = Binary;
  switch (op) { DIPTYCH_BINARY_OPS(DIPTYCH_CASE) }
  __builtin_unreachable();
}
#undef DIPTYCH_CASE

}  // namespace diptych
