// clip/cli/loss_tiles.h — what the streamed loss has in its hands, tile after tile.
#pragma once

#include <string>

#include "clip/loss.h"

namespace diptych::cli {

constexpr int64_t kMostExplained = 8;  ///< pairs that fit on a screen

/// The tiles of the logits of features (N, D), N at most kMostExplained, and after each the running
/// maxima and sums of rows and columns, or of sigmoid, which has a bias, each row's loss so far.
std::string explain_tiles(const Tensor& image, const Tensor& text, const Tensor& scale,
                          const Tensor& bias, const LossOptions&);

}  // namespace diptych::cli
