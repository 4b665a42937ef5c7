// clip/memory.h — what a training step keeps in memory, part by part, and its peak.
#pragma once

#include "clip/config.h"
#include "clip/precision.h"

namespace diptych {

struct TrainingSetup {
  int64_t pairs = 0;   ///< B
  int64_t tokens = 0;  ///< of each caption
  PrecisionConfig types = {};
  bool checkpointing = false;  ///< blocks are computed again in the backward pass
  int64_t accum_freq = 1;      ///< K, the parts that towers see the batch in; at most B
  int64_t moments = 2;         ///< of each parameter; AdamW has two
  bool average = false;        ///< of the parameters, kept beside them
  int64_t batches_ahead = 0;   ///< loaded, beside the one that is worked on

  int64_t chunk() const { return (pairs + accum_freq - 1) / accum_freq; }  ///< pairs of a part
};

/// Bytes of tensors. Not counted: the program, and threads' working memory in kernels.
struct TrainingMemory {
  int64_t parameters = 0;   ///< as they are trained, and their average
  int64_t copies = 0;       ///< 16-bit copies of f32 parameters, for products
  int64_t moments = 0;      ///< of the optimizer, with scales
  int64_t gradients = 0;    ///< of all parameters, f32
  int64_t batch = 0;        ///< pictures in bytes, tokens
  int64_t ahead = 0;        ///< of the batches that are loaded already
  int64_t pictures = 0;     ///< in f32: those that a tower sees at once, in the forward pass alone
  int64_t features = 0;     ///< of the whole batch, with gradients, while parts are worked through
  int64_t activations = 0;  ///< kept for the backward pass when it begins

  /// When most is in use: all of the above that is there in any case, and
  int64_t peak = 0;
  int64_t kept_then = 0, gradients_then = 0;  ///< of activations and features, and gradients
  int64_t temporaries_then = 0;               ///< of the operator that runs, gradients on their way

  /// What is there all the time.
  int64_t state() const { return parameters + copies + moments + batch + ahead; }
  /// The peak with what blocks of the allocator are larger, and those it keeps for what comes next:
  /// processes took 1.05 to 1.38 times their tensors.
  int64_t with_blocks() const { return peak + peak / 4; }
};

TrainingMemory training_memory(const ModelConfig&, const TrainingSetup&);

/// The smallest K, from 1 on, with which a step takes at most `limit` bytes, blocks included; 0 if
/// none does.
int64_t smallest_accum_freq(const ModelConfig&, TrainingSetup, int64_t limit);

/// Throws Error, naming the smallest K that would fit, if a step takes more than `limit` bytes,
/// blocks included; or what else to do, if no K does. Allocates nothing.
void check_fits(const ModelConfig&, const TrainingSetup&, int64_t limit);

}  // namespace diptych
