// tensor/cast.h — one element in another type, on host and device alike.
#pragma once

#include <cstdint>
#include <limits>
#include <type_traits>

#include "tensor/half.h"

namespace diptych {

/// One value in another type. Floating point to integer truncates and saturates; NaN becomes 0.
template <class To, class From>
DIPTYCH_HD inline To cast(From x) {
  if constexpr (std::is_same_v<To, From>) {
    return x;
  } else if constexpr (!std::is_same_v<From, acc_t<From>>) {
    return cast<To>(static_cast<float>(x));
  } else if constexpr (!std::is_same_v<To, acc_t<To>>) {
    return To(static_cast<float>(x));
  } else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<From>) {
    using Limits = std::numeric_limits<To>;
    if (!(x > static_cast<From>(Limits::min()))) return x != x ? To{0} : Limits::min();
    return x >= static_cast<From>(Limits::max()) ? Limits::max() : static_cast<To>(x);
  } else {
    return static_cast<To>(x);
  }
}

}  // namespace diptych
