// clip/train/train.h — the training loop.
#pragma once

#include <string>

#include "clip/train/checkpoint.h"
#include "clip/train/run_log.h"
#include "clip/train/signals.h"
#include "data/loader.h"

namespace diptych {

struct TrainConfig {
  int64_t batch_size = 64;
  int64_t epochs = 32;
  int64_t max_steps = 0;  ///< 0: as many as the epochs have
  double lr = 5e-4;
  int64_t warmup = -1;  ///< steps; -1: a tenth of the run, at most 2000
  nn::AdamWConfig adamw;
  double grad_clip_norm = 0;  ///< 0: no clipping
  Device device = Device::cpu;
  uint64_t seed = 0;  ///< of parameters, order, augmentation
  int workers = 1;
  int64_t log_every = 50;          ///< steps
  int64_t save_every = 1;          ///< epochs
  int keep = 2;                    ///< checkpoints
  double max_bad_fraction = 0.01;  ///< of what was found; beyond it training stops
  int64_t left_out = 0;            ///< of what was found, before there was a dataset
};

/// The configuration as it works out for a dataset of that many pairs: max_steps and warmup are
/// what will be done. Throws Error if the pairs do not fill a batch.
TrainConfig resolved(const TrainConfig&, int64_t pairs);

struct StepResult {
  double loss = 0, lr = 0, grad_norm = 0;
};

/// One run: a model, an optimizer, a dataset and a place to report to. All must outlive it.
class Trainer {
 public:
  Trainer(Clip&, const Tokenizer&, const Dataset&, const TrainConfig&, RunLog&);

  /// `settings`: the run's fingerprint(), which its checkpoints keep.
  void set_settings(const std::string& settings) { state_.settings = settings; }
  /// Throws Error if the checkpoint is of another model, or of a run with other settings.
  void resume(const Checkpoint&);
  void resume(const std::string& checkpoint) { resume(read_checkpoint(checkpoint)); }
  /// Trains to the end, or until a signal asks to stop after the current step (see Signals); saves
  /// a checkpoint either way. Throws Error if the loss or a gradient is not finite (no step is
  /// taken with it, nothing is saved), if a parameter is not at the end of an epoch (it is not
  /// saved either), or if too many samples are bad. Returns the signal that asked to stop; 0 if
  /// none did.
  int run();

  /// accumulate_gradients, clipping, AdamW, clamp.
  StepResult step(const Batch&);
  const TrainingState& state() const { return state_; }

 private:
  bool run_epoch(Signals&);
  void account_for(const Batch&);
  void report(const StepResult&, int64_t batch_pairs);
  void save();
  bool try_save();
  void say_end(int stopped_by);

  Clip& model_;
  const Tokenizer& tokenizer_;
  const Dataset& dataset_;
  TrainConfig config_;
  RunLog& log_;
  nn::AdamW optimizer_;
  Loader loader_;
  TrainingState state_;
  int64_t saved_step_ = -1;

  // Since the last report.
  struct Window {
    double since = 0, waited = 0;
    int64_t samples = 0;
  } window_;
  double started_ = 0;
  int64_t first_step_ = 0;
};

}  // namespace diptych
