// clip/eval/report.h — a picture of what a model sees: examples with their five best captions.
#pragma once

#include <functional>
#include <string>

#include "clip/eval/accuracy.h"
#include "data/tinted_fashion.h"

namespace diptych {

/// Writes <folder>/report.svg: the first pictures of the dataset, half of them of combinations
/// never seen in training, each with what it was taken for. The choice does not look at the
/// predictions. Beside it the unseen ones as PNG files, and labels.txt with all class names, to try
/// `diptych classify` on.
void write_report(const std::string& folder, const TintedFashion&, const Predictions&,
                  const std::function<bool(int64_t label)>& held_out);

}  // namespace diptych
