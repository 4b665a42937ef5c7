// clip/train/checkpoint.h — checkpoints that survive: complete or not there at all.
#pragma once

#include <optional>
#include <string>

#include "clip/model.h"
#include "data/text/tokenizer.h"
#include "nn/ema.h"
#include "nn/grad_scaler.h"
#include "nn/optim.h"
#include "tensor/io/safetensors.h"

namespace diptych {

/// Where a run stands. With parameters and moments this is everything: order, crops and tints are
/// functions of (seed, epoch, index), so nothing else has to be saved.
struct TrainingState {
  int64_t step = 0;               ///< optimizer steps taken
  int64_t epoch = 0;              ///< the epoch of the next batch
  int64_t batch = 0;              ///< the next batch in it
  int64_t samples = 0;            ///< pairs seen
  int64_t truncated = 0;          ///< captions that lost their tail
  int64_t skipped = 0;            ///< steps passed over, their gradients were not finite
  double window_loss = 0;         ///< sum of the losses since the last logged step …
  int64_t window_steps = 0;       ///< … and of how many
  int64_t validated_step = -1;    ///< of the last validation; -1: there was none
  int64_t best_step = -1;         ///< whose model validated best …
  double best_score = 0;          ///< … and how: ValidationResult::score()
  std::string bad_samples = {};   ///< the lines of bad_samples.tsv
  std::string settings = {};      ///< fingerprint() of the run's settings
  std::string precision = {};     ///< name of the Precision
  bool round_to_nearest = false;  ///< see PrecisionConfig
  std::optional<nn::GradScaler> scaler = {};  ///< under amp_fp16
};

/// Writes <run>/checkpoints/step_<step>/{model,training}.safetensors, ema.safetensors if there is
/// an average, and a manifest with the size and CRC-32 of each, in a temporary folder that is
/// renamed once everything is on disk; then deletes the intact ones but the `keep` newest. Throws
/// Error if that fails, or if a value is not finite; then the checkpoints of before are unchanged.
/// Returns what could not be deleted, for the log; empty if all was.
std::string save_checkpoint(const std::string& run, const Clip&, const Tokenizer&,
                            const nn::Optimizer&, const TrainingState&, int keep,
                            const nn::Ema* = nullptr);

/// The name of a parameter, statistic or moment with a value that is not finite; empty if all are.
std::string first_not_finite(const Clip&, const nn::Optimizer&);

/// A checkpoint in memory.
struct Checkpoint {
  std::string folder;
  SafeTensors model, training;
  std::optional<SafeTensors> ema = {};
  TrainingState state;
  int64_t optimizer_steps = 0;

  /// The vocabulary that its embedding was trained for.
  Tokenizer tokenizer() const;
  /// In which types it was computed and is kept, as its tensors are; fp32 if it is of before there
  /// were others.
  PrecisionConfig precision() const;
};

/// Throws Error unless the folder's manifest verifies and all that a checkpoint has is there.
Checkpoint read_checkpoint(const std::string& folder);

/// Brings parameters, moments, the average if there is one, and position back. Throws Error if they
/// do not fit, or if the model's configuration is another one.
TrainingState restore(const Checkpoint&, Clip&, nn::Optimizer&, nn::Ema* = nullptr);

}  // namespace diptych
