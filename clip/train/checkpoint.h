// clip/train/checkpoint.h — checkpoints that survive: complete or not there at all.
#pragma once

#include <string>

#include "clip/model.h"
#include "data/text/tokenizer.h"
#include "nn/optim.h"

namespace diptych {

/// Where a run stands. With parameters and moments this is everything: order, crops and tints are
/// functions of (seed, epoch, index), so nothing else has to be saved.
struct TrainingState {
  int64_t step = 0;     ///< optimizer steps taken
  int64_t epoch = 0;    ///< the epoch of the next batch
  int64_t batch = 0;    ///< the next batch in it
  int64_t samples = 0;  ///< pairs seen
};

/// Writes <run>/checkpoints/step_<step>/{model,training}.safetensors and a manifest with the size
/// and CRC-32 of both, in a temporary folder that is renamed once everything is on disk; then
/// deletes all but the `keep` newest. On any Error the checkpoints of before are unchanged.
void save_checkpoint(const std::string& run, const Clip&, const Tokenizer&, const nn::AdamW&,
                     const TrainingState&, int keep);

/// Brings parameters, moments and position back. Throws Error if they do not fit.
TrainingState load_checkpoint(const std::string& checkpoint, Clip&, nn::AdamW&);

}  // namespace diptych
