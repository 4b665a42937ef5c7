// clip/loss.h — the symmetric contrastive loss.
#pragma once

#include "autograd/ops.h"

namespace diptych {

struct ContrastiveLoss {
  Tensor loss;              ///< (): ½ (CE over rows + CE over columns); about ln B at the start
  Tensor logits_per_image;  ///< (B, B): exp(logit_scale) cos(image i, text j)
};

/// Picture i belongs to text i and to no other of the batch (Radford et al., 2021, figure 3):
///   logits = exp(logit_scale) Î T̂ᵀ,  rows of Î and T̂ of length one
/// image, text (B, E), not normalised; logit_scale ().
ContrastiveLoss contrastive_loss(const Tensor& image, const Tensor& text,
                                 const Tensor& logit_scale);

}  // namespace diptych
