// clip/train/train.h — the training loop.
#pragma once

#include <optional>
#include <string>

#include "clip/loss.h"
#include "clip/memory.h"
#include "clip/train/checkpoint.h"
#include "clip/train/places.h"
#include "clip/train/run_log.h"
#include "clip/train/signals.h"
#include "clip/train/validation.h"
#include "data/loader.h"
#include "nn/optimizers.h"
#include "nn/schedule.h"
#include "tensor/device.h"

namespace diptych {

/// What becomes of a step whose loss or gradient is not finite. It is never taken.
///   stop      the run ends and says why
///   skip      it is counted, and training goes on with the next batch
///   rollback  the newest checkpoint is restored, and training goes on from it with the next batch:
///             those since are not seen again (as PaLM's training did; Chowdhery et al., 2022,
///             section 5.1)
enum class OnNan : uint8_t { stop, skip, rollback };

/// How the rate falls: see nn::Schedule.
struct ScheduleConfig {
  std::string name = "cosine";
  int64_t cooldown_epochs = 0;
  double cooldown_power = 1, cooldown_end = 0;
};

struct TrainConfig {
  int64_t batch_size = 64;
  int64_t accum_freq = 1;           ///< parts that towers see a batch in: clip/train/grad_cache.h
  bool grad_checkpointing = false;  ///< blocks are computed again in the backward pass
  Positives positives = Positives::none;  ///< which pairs of a batch are right for each other
  int64_t loss_tile = 0;                  ///< see LossOptions
  int64_t epochs = 32;
  int64_t max_steps = 0;  ///< 0: as many as the epochs have
  double lr = 5e-4;
  int64_t warmup = -1;  ///< steps; -1: a tenth of the run, at most 2000
  ScheduleConfig schedule;
  std::string optimizer_name = "adamw";  ///< of nn/optimizers.h
  nn::OptimizerConfig optimizer;
  TuningConfig tuning;
  PrecisionConfig precision;
  double grad_clip_norm = 0;  ///< 0: no clipping
  double dropout = 0;         ///< of what blocks add
  double patch_dropout = 0;   ///< of patches
  double ema_decay = 0;       ///< of an average of the parameters that is kept beside; 0: none
  Device device = Device::cpu;
  uint64_t seed = 0;  ///< of parameters, order, augmentation
  int workers = 1;
  int64_t log_every = 50;  ///< steps
  int64_t save_every = 1;  ///< epochs
  int64_t val_every = 1;   ///< epochs, where there is something to validate on
  int keep = 2;            ///< checkpoints
  OnNan on_nan = OnNan::stop;
  double max_bad_fraction = 0.01;  ///< of what was found; beyond it training stops
  int64_t left_out = 0;            ///< of what was found, before there was a dataset
};

/// The configuration as it works out for a dataset of that many pairs: max_steps and warmup are
/// what will be done. Throws Error if the pairs do not fill a batch.
TrainConfig resolved(const TrainConfig&, int64_t pairs);

/// What decides how much memory that takes; captions as long as the context.
TrainingSetup training_setup(const ModelConfig&, const TrainConfig&);

/// check_fits() of that; on a device its allocator decides.
void check_fits(const ModelConfig&, const TrainConfig&, int64_t limit);

/// A step that is queued, and what it will tell. Its batch is kept until that is known.
struct QueuedStep {
  Batch batch;
  Tensor label;       ///< of pairs that are right for each other: see LossOptions
  StepRecord record;  ///< complete but for loss, norm, temperature and moments
  HostCopy numbers;   ///< f64 (4): loss, Σ g², ln of the temperature after the step, moments lost
  std::vector<Tensor> statistics = {};  ///< of batch norms, before it; if it may be passed over
};

/// const char* of an OnNan, and back; throws Error listing all for another.
const char* name(OnNan);
OnNan on_nan_from(const std::string&);

/// One run: a model, which it brings into the precision of the configuration, an optimizer, a
/// dataset and a place to report to. All must outlive it.
class Trainer {
 public:
  Trainer(Clip&, const Tokenizer&, const Dataset&, const TrainConfig&, RunLog&);

  /// `settings`: the run's fingerprint(), which its checkpoints keep.
  void set_settings(const std::string& settings) { state_.settings = settings; }
  /// What the model is validated on, every val_every epochs and at the end; it must outlive this.
  /// The checkpoint of the best result is kept and marked: see mark_best_checkpoint.
  void set_validation(const ValidationData& data) { validation_ = &data; }
  /// What did best so far was measured on other data.
  void begin_validation_anew() { state_.best_step = -1; }
  /// Throws Error if the checkpoint is of another model, or of a run with other settings.
  void resume(const Checkpoint&);
  void resume(const std::string& checkpoint) { resume(read_checkpoint(checkpoint)); }
  /// Trains to the end, or until a signal asks to stop after the current step (see Signals); saves
  /// a checkpoint either way. A step whose loss or gradient is not finite is dealt with as OnNan
  /// says; under amp_fp16, where the loss scale finds its limit by such steps, it is skipped.
  /// Throws Error if one of them ends the run (nothing is saved), if too many come in a row, if a
  /// parameter is not finite at the end of an epoch (it is not saved), or if too many samples are
  /// bad. Returns the signal that asked to stop; 0 if none did.
  int run();

  /// Queues accumulate_gradients, clipping and the optimizer, and waits for nothing (AdamW does
  /// not): a device works on this step while the host prepares the next.
  QueuedStep queue_step(Batch);
  /// Waits for the numbers of a step. Throws Error, naming its samples, the first operator and the
  /// first gradient that went wrong, if the loss or the norm is not finite: then the parameters are
  /// what they were before that step, whatever was queued since.
  StepRecord finish(const QueuedStep&);
  const TrainingState& state() const { return state_; }

 private:
  bool run_epoch(Signals&);
  bool take_batches(Signals&);
  void restore_state(const Checkpoint&);
  StepRecord read(const QueuedStep&) const;
  [[noreturn]] void give_up(const QueuedStep&, const StepRecord&);
  void settle();
  void average();
  void tell(StepRecord);
  void pass_over(const QueuedStep&, StepRecord);
  void roll_back(const QueuedStep&);
  bool waits_for_each_step() const;
  std::vector<Tensor> statistics() const;
  void restore_statistics(const std::vector<Tensor>& before);
  void account_for(const Batch&);
  StepRecord record_of(double lr, const LossBounds&);
  bool is_logged(int64_t step) const;
  double loss_scale() const;
  nn::Schedule schedule() const;
  Tensor accumulate(const Batch&, const Tensor& label, int64_t step);
  void save();
  bool try_save();
  void end_epoch(Signals&, bool last);
  bool validation_is_due(bool last) const;
  ValidationResult validated(Signals&);
  bool validate_now(Signals&);
  void mark_best();
  void say_memory();
  void say_memory_taken();
  void say_end(int stopped_by);

  Clip& model_;
  const Tokenizer& tokenizer_;
  const Dataset& dataset_;
  TrainConfig config_;
  RunLog& log_;
  const ValidationData* validation_ = nullptr;
  std::unique_ptr<nn::Optimizer> optimizer_;
  std::optional<nn::Ema> ema_;
  Loader loader_;
  Tensor pixel_table_;  // on the model's device
  TrainingState state_;
  std::optional<QueuedStep> last_;               // its numbers were not read yet
  int64_t saved_step_ = -1, saved_skipped_ = 0;  // as the newest checkpoint has them
  int64_t in_a_row_ = 0;                         // steps passed over
  int64_t rollbacks_ = 0;                        // since a checkpoint was saved
  bool warned_of_moments_ = false;

  // Since the last step that is logged.
  struct Window {
    double since = 0, waited = 0;
    int64_t samples = 0;
  } window_;
  double started_ = 0;
  int64_t first_step_ = 0;
  int64_t expected_bytes_ = 0;  // of tensors, at the peak
};

}  // namespace diptych
