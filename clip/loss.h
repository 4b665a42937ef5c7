// clip/loss.h — the symmetric contrastive loss.
#pragma once

#include "clip/model.h"

namespace diptych {

/// exp(logit_scale) cos(image i, text j) → (B, B).  image, text (B, E), not normalised; logit_scale
/// ().
Tensor logits_per_image(const Tensor& image, const Tensor& text, const Tensor& logit_scale);

/// Picture i belongs to text i and to no other of the batch (Radford et al., 2021, figure 3):
///   ½ (CE over rows + CE over columns) of those logits → (); about ln B at the start
Tensor contrastive_loss(const Tensor& image, const Tensor& text, const Tensor& logit_scale);
/// The same of what the model makes of pixels (B, C, R, R) and B captions.
Tensor contrastive_loss(const Clip&, const Tensor& pixels, const Captions&);

/// What no loss of a batch can fall below, since equal captions cannot be told apart: the mean of
/// ln(how often its caption stands in the batch). Of tokens, as the model reads them.
double loss_floor(const Captions&);

}  // namespace diptych
