// clip/cli/info.h — what `diptych info` has to say beside the layers.
#pragma once

#include <string>

#include "clip/roofline.h"

namespace diptych::cli {

/// `--device`: a step on paper, as tables or as one JSON object.
void tell_step_on(const std::string& device, const std::string& model, const ModelConfig&,
                  const PaperBatch&, bool json);

}  // namespace diptych::cli
