// clip/train/step.h — one batch, forward and backward.
#pragma once

#include "clip/model.h"
#include "nn/optimizers.h"

namespace diptych {

struct StepOptions {
  double loss_scale = 1;  ///< gradients are those of loss_scale times the loss
};

/// Adds the gradients of the contrastive loss of pixels (B, C, R, R) and B captions to the model's;
/// returns the loss, unscaled, () without a history. Reads nothing back from a device. The only
/// place that knows how a batch is worked through.
Tensor accumulate_gradients(const Clip&, const Tensor& pixels, const Captions&,
                            const StepOptions& = {});

/// The optimizer's configuration, with moments kept and parameters rounded as the precision says.
nn::OptimizerConfig optimizer_config(nn::OptimizerConfig, const PrecisionConfig&, uint64_t seed);

/// squares (), f64, or NaN if the loss () is not finite: no step shall be taken with it either.
Tensor spoiled(const Tensor& squares, const Tensor& loss);

}  // namespace diptych
