// tensor/scalar_binary.h — element-wise operators of two operands: f, and its derivatives da and db
// by each. Their list is in scalar_ops.h.
#pragma once

#include <cmath>

#include "tensor/half.h"

namespace diptych::scalar {

/// y = a + b
struct Add {
  template <class T>
  DIPTYCH_HD static T f(T a, T b) {
    return a + b;
  }
  template <class T>
  DIPTYCH_HD static T da(T, T) {
    return T(1);
  }
  template <class T>
  DIPTYCH_HD static T db(T, T) {
    return T(1);
  }
};

/// y = a - b
struct Sub {
  template <class T>
  DIPTYCH_HD static T f(T a, T b) {
    return a - b;
  }
  template <class T>
  DIPTYCH_HD static T da(T, T) {
    return T(1);
  }
  template <class T>
  DIPTYCH_HD static T db(T, T) {
    return T(-1);
  }
};

/// y = a b
struct Mul {
  template <class T>
  DIPTYCH_HD static T f(T a, T b) {
    return a * b;
  }
  template <class T>
  DIPTYCH_HD static T da(T, T b) {
    return b;
  }
  template <class T>
  DIPTYCH_HD static T db(T a, T) {
    return a;
  }
};

/// y = a / b;  dy/da = 1 / b,  dy/db = -a / b²
struct Div {
  template <class T>
  DIPTYCH_HD static T f(T a, T b) {
    return a / b;
  }
  template <class T>
  DIPTYCH_HD static T da(T, T b) {
    return T(1) / b;
  }
  template <class T>
  DIPTYCH_HD static T db(T a, T b) {
    return -a / (b * b);
  }
};

/// y = max(a, b); the gradient goes to the larger operand, to a where they are equal
struct Maximum {
  template <class T>
  DIPTYCH_HD static T f(T a, T b) {
    return a < b ? b : a;
  }
  template <class T>
  DIPTYCH_HD static T da(T a, T b) {
    return a < b ? T(0) : T(1);
  }
  template <class T>
  DIPTYCH_HD static T db(T a, T b) {
    return a < b ? T(1) : T(0);
  }
};

/// y = min(a, b); the gradient goes to the smaller operand, to a where they are equal
struct Minimum {
  template <class T>
  DIPTYCH_HD static T f(T a, T b) {
    return b < a ? b : a;
  }
  template <class T>
  DIPTYCH_HD static T da(T a, T b) {
    return b < a ? T(0) : T(1);
  }
  template <class T>
  DIPTYCH_HD static T db(T a, T b) {
    return b < a ? T(1) : T(0);
  }
};

/// y = aᵇ;  dy/da = b aᵇ⁻¹, and 0 for b = 0;  dy/db = aᵇ ln a, and 0 for a = 0 ≤ b. NaN for a < 0
/// unless b is an integer
struct Pow {
  template <class T>
  DIPTYCH_HD static T f(T a, T b) {
    return std::pow(a, b);
  }
  template <class T>
  DIPTYCH_HD static T da(T a, T b) {
    return b == T(0) ? T(0) : b * std::pow(a, b - T(1));
  }
  template <class T>
  DIPTYCH_HD static T db(T a, T b) {
    return a == T(0) && b >= T(0) ? T(0) : std::pow(a, b) * std::log(a);
  }
};

}  // namespace diptych::scalar
