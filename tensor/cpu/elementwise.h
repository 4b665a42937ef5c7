// tensor/cpu/elementwise.h — an operator as a function of a row, for kernels that apply it to what
// they have just computed.
#pragma once

#include <cstdint>

namespace diptych {
enum class Unary : uint8_t;  // tensor/scalar_ops.h
}

namespace diptych::cpu {

/// x ← f(x) for n values; A is float or double.
template <class A>
auto in_place(Unary f) -> void (*)(A* x, int64_t n);

}  // namespace diptych::cpu
