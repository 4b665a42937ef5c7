// clip/train/train.h — the training loop.
#pragma once

#include <optional>
#include <string>

#include "clip/train/checkpoint.h"
#include "clip/train/run_log.h"
#include "clip/train/signals.h"
#include "data/loader.h"
#include "tensor/device.h"

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

/// A step that is queued, and what it will tell. Its batch is kept until that is known.
struct QueuedStep {
  Batch batch;
  StepRecord record;  ///< complete but for loss, norm and temperature
  HostCopy numbers;   ///< f64 (3): loss, Σ g², ln of the temperature after the step
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
  /// taken with it, nor any after it, nothing is saved), if a parameter is not at the end of an
  /// epoch (it is not saved either), or if too many samples are bad. Returns the signal that asked
  /// to stop; 0 if none did.
  int run();

  /// Queues accumulate_gradients, clipping and AdamW, and waits for nothing: a device works on this
  /// step while the host prepares the next.
  QueuedStep queue_step(Batch);
  /// Waits for the numbers of a step. Throws Error, naming the first bad gradient, if the loss or
  /// the norm is not finite: then the parameters are what they were before that step, whatever was
  /// queued since.
  StepRecord finish(const QueuedStep&);
  const TrainingState& state() const { return state_; }

 private:
  bool run_epoch(Signals&);
  bool take_batches(Signals&);
  void settle();
  void account_for(const Batch&);
  StepRecord record_of(int64_t batch_pairs, double lr);
  bool is_logged(int64_t step) const;
  Tensor accumulate(const Batch&);
  std::string first_bad_gradient(const Batch&);
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
  Tensor pixel_table_;  // on the model's device
  TrainingState state_;
  std::optional<QueuedStep> last_;  // its numbers were not read yet
  int64_t saved_step_ = -1;

  // Since the last step that is logged.
  struct Window {
    double since = 0, waited = 0;
    int64_t samples = 0;
  } window_;
  double started_ = 0;
  int64_t first_step_ = 0;
};

}  // namespace diptych
