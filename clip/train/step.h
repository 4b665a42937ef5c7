// clip/train/step.h — one batch, forward and backward.
#pragma once

#include "clip/loss.h"
#include "nn/optimizers.h"

namespace diptych {

/// The pictures of a batch, of which the model gets some at a time: a large batch shall not stand
/// in f32 at once.
class Pictures {
 public:
  Pictures(Tensor normalised) : pixels_(std::move(normalised)) {}  ///< f32 (B, C, R, R)
  /// u8 (B, R, R, C), which become f32 by a pixel_table().
  Pictures(Tensor bytes, Tensor table) : pixels_(std::move(bytes)), table_(std::move(table)) {}
  int64_t count() const { return pixels_.dim(0); }  ///< B
  /// Pictures begin … end-1 as the model takes them, (end - begin, C, R, R).
  Tensor part(int64_t begin, int64_t end) const;

 private:
  Tensor pixels_, table_;
};

struct StepOptions {
  double loss_scale = 1;  ///< gradients are those of loss_scale times the loss
  /// K, 1 … B: the towers work on a K-th of the batch: clip/train/grad_cache.h
  int64_t accum_freq = 1;
  LossOptions loss = {};  ///< of the whole batch
};

/// What a step makes on its way, without a history.
struct StepValues {
  Tensor loss;         ///< (), unscaled
  Tensor image, text;  ///< features (B, E), not normalised
};

/// Adds the gradients of the loss of B pictures and B captions to the model's. Reads nothing back
/// from a device. The only place that knows how a batch is worked through. Throws Error if K is
/// above B.
StepValues forward_backward(const Clip&, const Pictures&, const Captions&, const StepOptions& = {});
/// The loss of that.
Tensor accumulate_gradients(const Clip&, const Pictures&, const Captions&, const StepOptions& = {});

/// The optimizer's configuration, with moments kept and parameters rounded as the precision says.
nn::OptimizerConfig optimizer_config(nn::OptimizerConfig, const PrecisionConfig&, uint64_t seed);

/// squares (), f64, or NaN if the loss () is not finite: no step shall be taken with it either.
Tensor spoiled(const Tensor& squares, const Tensor& loss);

}  // namespace diptych
