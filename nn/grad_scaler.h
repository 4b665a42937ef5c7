// nn/grad_scaler.h — the factor that keeps small gradients within f16.
#pragma once

#include <cstdint>

namespace diptych::nn {

/// f16 ends at 2⁻²⁴, and many gradients lie below. So the loss is multiplied by a scale before the
/// backward pass, and the optimizer divides it out again, in f32 (Micikevicius et al., 2018). The
/// scale is as large as it can be without an overflow: it grows a little with every step, and is
/// halved by a step whose gradients are not finite, which is not taken. Constants of Jukebox
/// (openai/jukebox jukebox/utils/fp16.py). bf16 has the range of f32 and needs none of this.
struct GradScaler {
  static constexpr double kMost = 16777216;              ///< 2²⁴
  static constexpr double kGrowth = 1.0006933874625807;  ///< 2^(1/1000)

  double scale = 65536;  ///< 2¹⁶

  /// After a step with the scale.
  void update(bool finite) {
    const double next = finite ? scale * kGrowth : scale / 2;
    scale = next < kMost ? next : kMost;
  }
  /// No gradient can be so large; something else is wrong.
  bool exhausted() const { return scale < 1; }
  /// Whether a run that goes on can have come to it.
  bool is_possible() const { return scale >= 1 && scale <= kMost; }
};

}  // namespace diptych::nn
