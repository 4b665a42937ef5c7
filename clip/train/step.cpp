// clip/train/step.cpp — forward, loss, backward.
#include "clip/train/step.h"

#include "clip/loss.h"

namespace diptych {

Tensor accumulate_gradients(const Clip& model, const Tensor& pixels, const Captions& captions,
                            const StepOptions& options) {
  const Tensor loss = contrastive_loss(model, pixels, captions);
  backward(loss, full({}, options.loss_scale, loss.dtype(), loss.device()));
  return loss.detach();
}

nn::OptimizerConfig optimizer_config(nn::OptimizerConfig adamw, const PrecisionConfig& c,
                                     uint64_t seed) {
  adamw.half_moments = c.adam_stats == DType::f16;
  adamw.stochastic = !c.round_to_nearest;
  adamw.seed = seed;
  return adamw;
}

Tensor spoiled(const Tensor& squares, const Tensor& loss) {
  return squares + loss.to(DType::f64) * 0.0;  // 0 · ∞ = NaN
}

}  // namespace diptych
