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
};

/// Bytes of tensors. Not counted: that the allocator's blocks are larger and are kept for the next
/// step, the program, threads' working memory in kernels, and what the loader reads ahead.
struct TrainingMemory {
  int64_t parameters = 0;   ///< as they are trained
  int64_t copies = 0;       ///< 16-bit copies of f32 parameters, for products
  int64_t moments = 0;      ///< both of AdamW, with scales
  int64_t gradients = 0;    ///< of all parameters, f32
  int64_t batch = 0;        ///< pictures in f32, tokens
  int64_t activations = 0;  ///< kept for the backward pass when it begins

  /// When most is in use: all of the above that is there in any case, and
  int64_t peak = 0;
  int64_t kept_then = 0, gradients_then = 0;  ///< of activations and gradients
  int64_t temporaries_then = 0;               ///< of the operator that runs, gradients on their way

  /// What is there all the time.
  int64_t state() const { return parameters + copies + moments + batch; }
};

TrainingMemory training_memory(const ModelConfig&, const TrainingSetup&);

}  // namespace diptych
