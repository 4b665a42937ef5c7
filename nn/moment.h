// nn/moment.h — a moment of AdamW for one parameter, in f32 or in f16 with scales.
#pragma once

#include <string>

#include "tensor/tensor.h"

namespace diptych::nn {

/// f16 values stand for that many times the scale of their group: one group for all, or one per
/// row. That is how Jukebox kept its moments (Dhariwal et al., 2020; openai/jukebox
/// jukebox/utils/fp16.py), whom CLIP's paper cites. Other values stand for themselves.
struct Moment {
  Tensor values;
  Tensor scale = {};  ///< f32 (R); undefined unless the values are f16
};

/// Zeros for a parameter: f16 if `half`, else f32, or f64 for f64. Scales by row if `rows`.
Moment zero_moment(const Tensor& parameter, bool half, bool rows);
/// `to` becomes `from`, called `name`, bit for bit where both are kept alike, else converted.
/// Throws Error if the shapes differ, or unless f16 values, and no others, come with scales that
/// fit them.
void assign(const std::string& name, const Moment& from, Moment& to);

}  // namespace diptych::nn
