// clip/loss.h — losses that tell which picture and which text belong together.
#pragma once

#include "clip/model.h"
#include "data/loader.h"

namespace diptych {

/// Which pairs of a batch are right for each other: a picture and its own text, and
///   none     no others
///   caption  all with the same caption, as the model reads it
///   key      all of the same picture, which has several captions
enum class Positives : uint8_t { none, caption, key };

const char* name(Positives);
Positives positives_from(const std::string&);  ///< throws Error listing all for another

/// exp(logit_scale) cos(image i, text j) → (B, B).  image, text (B, E), not normalised; logit_scale
/// ().
Tensor logits_per_image(const Tensor& image, const Tensor& text, const Tensor& logit_scale);

/// How a loss is computed.
struct LossOptions {
  /// i64 (B) on the cpu: pairs with the same label are right for each other. Undefined: each for
  /// itself alone.
  Tensor label = {};
  /// Rows and columns of logits at a time, in memory O(B E): see contrastive() in autograd/ops.h.
  /// 0: kLossTile of them, or all of a batch that is no larger, if it has no labels.
  int64_t tile = 0;
};

/// Pictures and texts that belong together have the largest logits of their row and their column
/// (Radford et al., 2021, figure 3):
///   ½ (CE over rows + CE over columns) → (); about ln B at the start
Tensor contrastive_loss(const Tensor& image, const Tensor& text, const Tensor& logit_scale,
                        const LossOptions& = {});
/// Each pair by itself: mean over pictures of -Σ ln σ(±(logit + bias)) over texts → (), + for those
/// that belong together (Zhai et al., 2023).
Tensor sigmoid_loss(const Tensor& image, const Tensor& text, const Tensor& logit_scale,
                    const Tensor& logit_bias, const LossOptions& = {});

/// The one the model was made for: sigmoid_loss if it has a bias.
Tensor model_loss(const Clip&, const Tensor& image, const Tensor& text, const LossOptions& = {});
/// Of what the model makes of pixels (B, C, R, R) and B captions.
Tensor model_loss(const Clip&, const Tensor& pixels, const Captions&, const LossOptions& = {});

/// Labels for LossOptions, of a batch on the host; undefined for none. The same picture: by where
/// it comes from.
Tensor positive_labels(Positives, const Batch&, const Dataset&);

/// What a model that knows nothing has at best, all logits being alike, and below what no model
/// gets, since what looks alike cannot be told apart: pairs with equal captions, as the model reads
/// them, unless they are right for each other. Of the softmax loss, or the sigmoid one.
struct LossBounds {
  double chance = 0, floor = 0;
};
LossBounds loss_bounds(const Captions&, const Tensor& label, bool sigmoid);

}  // namespace diptych
