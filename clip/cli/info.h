// clip/cli/info.h — what `diptych info` has to say beside the layers.
#pragma once

#include <string>

#include "clip/memory.h"
#include "clip/roofline.h"

namespace diptych::cli {

/// `--device`: a step on paper, as tables or as one JSON object.
void tell_step_on(const std::string& device, const std::string& model, const ModelConfig&,
                  const PaperBatch&, bool json);

/// What a training step keeps in memory, as a table or as a JSON object.
void print_training(const ModelConfig&, const TrainingSetup&);
std::string training_json(const ModelConfig&, const TrainingSetup&);

}  // namespace diptych::cli
