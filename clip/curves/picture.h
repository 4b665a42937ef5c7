// clip/curves/picture.h — the curves of several runs as an SVG.
#pragma once

#include <string>
#include <vector>

#include "clip/curves/history.h"

namespace diptych::curves {

/// A panel each for loss, loss of validation, R@1, zero-shot accuracy, learning rate, logit scale
/// and gradient norm, as far as any run has them, over the pairs seen; a colour for each run. The
/// dashed line of the loss is ln B, what a model that knows nothing has. Throws Error if no run has
/// told anything.
std::string picture_of(const std::vector<History>&);

}  // namespace diptych::curves
