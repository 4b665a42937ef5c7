// tests/adamw_slots.h — what the tests of adamw_step on 16 bits share.
#pragma once

#include <limits>

#include "tests/kernel_reference.h"

namespace diptych::test {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

inline AdamWStep step_of(double max_norm, int64_t t) {
  return {1e-2, 0.9, 0.98, 1e-6, 0.2, max_norm, t};
}

inline Tensor squares(double value) { return full({}, value, DType::f64); }

inline Tensor none;  // what nobody wants

/// A slot of those types, with R scales of its moments if they are f16; all 0 but p and g.
inline AdamWSlot slot_of(int64_t n, DType p, DType moment, int64_t R = 1, uint64_t stream = 0) {
  AdamWSlot slot{normal({n}, DType::f32, stream + 1), zeros({n}, moment), zeros({n}, moment),
                 normal({n}, DType::f32, stream + 2).to(p), true};
  if (moment == DType::f16) slot.m_scale = zeros({R}), slot.v_scale = zeros({R});
  slot.stream = stream;
  return slot;
}

}  // namespace diptych::test
