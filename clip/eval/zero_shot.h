// clip/eval/zero_shot.h — classification by captions (Radford et al., 2021, section 3.1).
#pragma once

#include <string>
#include <vector>

#include "clip/eval/encode.h"

namespace diptych {

/// One row per class, of length one: the mean over templates of normalised text features,
/// normalised again. → (K, E). Throws Error if two different names become the same tokens in a
/// template: one of them would win whatever the picture shows.
Tensor zero_shot_head(const Clip&, const Tokenizer&, const std::vector<std::string>& names,
                      const std::vector<std::string>& templates,
                      Overflow overflow = Overflow::error);
/// The same, kept as a file in `folder` under a hash of everything that decides it. A folder that
/// cannot be written only costs time; an empty one means no cache.
Tensor cached_zero_shot_head(const Clip&, const Tokenizer&, const std::vector<std::string>& names,
                             const std::vector<std::string>& templates, const std::string& folder,
                             Overflow overflow = Overflow::error);

/// Of normalised features: pixels (B, C, R, R), head (K, E) → (B, K)
Tensor zero_shot_cosines(const Clip&, const Tensor& head, const Tensor& pixels);
/// Cosines times exp(logit_scale): pixels (B, C, R, R), head (K, E) → (B, K)
Tensor zero_shot_logits(const Clip&, const Tensor& head, const Tensor& pixels);

}  // namespace diptych
