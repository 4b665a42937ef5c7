// clip/train/step.cpp — forward, loss, backward.
#include "clip/train/step.h"

#include "clip/train/grad_cache.h"
#include "data/image/transform.h"

namespace diptych {

Tensor Pictures::part(int64_t begin, int64_t end) const {
  const bool all = begin == 0 && end == count();
  const Tensor some = all ? pixels_ : pixels_.slice(0, begin, end);
  return table_.defined() ? normalized(some, table_) : some;
}

StepValues forward_backward(const Clip& model, const Pictures& pictures, const Captions& captions,
                            const StepOptions& options) {
  const int64_t B = pictures.count();
  check(1 <= options.accum_freq && options.accum_freq <= B, "step: a batch of ", B,
        " pairs cannot be worked through in ", options.accum_freq,
        " parts; choose an --accum-freq from 1 to ", B);
  if (options.accum_freq > 1) return grad_cached(model, pictures, captions, options);
  const Tensor image = model.encode_image(pictures.part(0, B)), text = model.encode_text(captions);
  const Tensor loss = model_loss(model, image, text, options.loss);
  backward(loss, full({}, options.loss_scale, loss.dtype(), loss.device()));
  return {loss.detach(), image.detach(), text.detach()};
}

Tensor accumulate_gradients(const Clip& model, const Pictures& pictures, const Captions& captions,
                            const StepOptions& options) {
  return forward_backward(model, pictures, captions, options).loss;
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
