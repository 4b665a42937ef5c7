// clip/train/run.cpp — epochs, checkpoints, validation, the end.
#include <fmt/core.h>

#include <cmath>
#include <tuple>

#include "clip/train/grad_cache.h"
#include "clip/train/train.h"
#include "clip/weights/run_folder.h"

namespace diptych {
namespace {

// While it lives the model has the average of its parameters, if there is one.
class OfTheAverage {
 public:
  explicit OfTheAverage(std::optional<nn::Ema>& ema) : ema_(ema) {
    if (ema_) ema_->lend();
  }
  ~OfTheAverage() {
    if (ema_) ema_->take_back();
  }
  OfTheAverage(const OfTheAverage&) = delete;
  OfTheAverage& operator=(const OfTheAverage&) = delete;

 private:
  std::optional<nn::Ema>& ema_;
};

// Of validation, by a signal: there is no result.
struct Interrupted {};

}  // namespace

void Trainer::save() {
  if (saved_step_ == state_.step && saved_skipped_ == state_.skipped) return;
  state_.bad_samples = log_.bad_samples().lines();
  const std::string left = save_checkpoint(log_.folder(), model_, tokenizer_, *optimizer_, state_,
                                           config_.keep, ema_ ? &*ema_ : nullptr);
  if (saved_step_ != state_.step) rollbacks_ = 0;
  saved_step_ = state_.step;
  saved_skipped_ = state_.skipped;
  if (!left.empty()) log_.line("warning: step " + std::to_string(state_.step) + " is saved" + left);
}

// A disk that is full now may have room at the end: training goes on, the last save decides.
// Parameters that are not finite stay so.
bool Trainer::try_save() {
  settle();  // or a step that was not finite would be counted
  try {
    save();
    return true;
  } catch (const Error& error) {
    if (!first_not_finite(model_, *optimizer_).empty()) throw;
    log_.line(fmt::format("warning: {}; training goes on", error.what()));
    return false;
  }
}

// Validation comes before the save, so that a checkpoint knows its own result: a run that goes on
// from it repeats nothing and leaves nothing out.
void Trainer::end_epoch(Signals& signals, bool last) {
  const std::pair before{state_.best_step, state_.best_score};
  bool best = false;
  if (validation_is_due(last)) {
    try {
      best = validate_now(signals);
    } catch (const Error&) {
      try_save();
      throw;
    }
  }
  const bool saves = !last && (best || state_.epoch % config_.save_every == 0);  // run() saves last
  // Nobody has a model that was not saved: the best before it is the best there is.
  if (saves && !try_save() && best) std::tie(state_.best_step, state_.best_score) = before;
  mark_best();
}

// Also at the begin of a run whose last validation a signal interrupted.
bool Trainer::validation_is_due(bool last) const {
  const bool at_end = state_.batch == 0 && state_.epoch > 0;
  return validation_ && state_.validated_step != state_.step &&
         (last || (at_end && state_.epoch % config_.val_every == 0));
}

ValidationResult Trainer::validated(Signals& signals) {
  const OfTheAverage average(ema_);
  ValidationOptions options{config_.batch_size, config_.workers, config_.max_bad_fraction,
                            config_.positives};
  options.chunk = chunk_size(config_.batch_size, config_.accum_freq);
  options.progress = [&](int64_t done) {
    log_.show_progress(state_.step, config_.max_steps,
                       fmt::format("validating {}/{}", done, validation_->dataset->size()));
    if (signals.stop()) throw Interrupted();
  };
  return validate(model_, tokenizer_, *validation_, options);
}

// Whether the model is better than it has ever been.
bool Trainer::validate_now(Signals& signals) {
  settle();
  const double began = seconds_now();
  ValidationResult result;
  try {
    result = validated(signals);
  } catch (const Interrupted&) {
    log_.line(fmt::format("the validation of step {} was interrupted; --resume begins with it",
                          state_.step));
    return false;
  }
  const double score = result.score(), seconds = seconds_now() - began;
  const bool best = state_.best_step < 0 || score > state_.best_score;
  state_.validated_step = state_.step;
  if (best) {
    state_.best_step = state_.step;
    state_.best_score = score;
  }
  log_.metrics(fmt::format(R"({{"step":{},"epoch":{},"samples":{},"val":{}}})", state_.step,
                           state_.epoch + (state_.batch > 0), state_.samples, result.to_json()));
  log_.line(fmt::format("validation{} at step {} | {} | {}{}", ema_ ? " of the average" : "",
                        state_.step, result.to_line(), duration(seconds),
                        best ? " | best " + result.score_name() + " so far" : ""));
  started_ += seconds;  // of training alone are rates and what is left
  window_.since += seconds;
  return best;
}

void Trainer::mark_best() {
  if (state_.best_step < 0) return;
  if (const std::string left = mark_best_checkpoint(log_.folder(), state_.best_step); !left.empty())
    log_.line("warning: " + left);
}

// Whatever ends it, the numbers of the last step are read and told.
bool Trainer::run_epoch(Signals& signals) {
  loader_.start(state_.epoch, state_.batch);
  window_.waited = 0;
  try {
    const bool complete = take_batches(signals);
    settle();
    return complete;
  } catch (...) {
    settle();
    throw;
  }
}

bool Trainer::take_batches(Signals& signals) {
  while (state_.step < config_.max_steps && !signals.stop()) {
    std::optional<Batch> batch = loader_.next();
    if (!batch) return true;
    account_for(*batch);
    ++state_.batch;
    QueuedStep step = queue_step(std::move(*batch));
    settle();  // the step before, while a device works on this one
    last_ = std::move(step);
    if (waits_for_each_step()) settle();
    if (signals.take_save_request() && try_save())
      log_.line(fmt::format("step {} saved, as a signal asked", state_.step));
  }
  return false;
}

int Trainer::run() {
  Signals signals;
  started_ = window_.since = seconds_now();
  window_.samples = state_.samples;
  first_step_ = state_.step;
  log_.continue_from(state_.step, state_.bad_samples);
  mark_best();
  log_.line(fmt::format("{} pairs, {} steps of {} pairs ({} per epoch), warm-up {}, seed {}",
                        dataset_.size(), config_.max_steps, config_.batch_size, loader_.batches(),
                        config_.warmup, config_.seed));
  if (const std::string note = chunk_note(model_.config(), config_.batch_size, config_.accum_freq);
      !note.empty())
    log_.line(note);
  say_memory();
  if (validation_is_due(false)) validate_now(signals);
  while (run_epoch(signals)) {
    state_.batch = 0;
    ++state_.epoch;
    end_epoch(signals, state_.step == config_.max_steps);
  }
  if (!signals.stop()) end_epoch(signals, /*last=*/true);
  save();
  mark_best();
  const int stopped_by = signals.stop();
  say_end(stopped_by);
  return stopped_by;
}

void Trainer::say_end(int stopped_by) {
  const bool all = state_.step == config_.max_steps;
  say_memory_taken();
  log_.line(fmt::format(
      "{} after {} steps, {} pairs, {}; {} bad samples, {} captions truncated{}; "
      "checkpoint in {}/checkpoints",
      all ? "done" : fmt::format("stopped by {}", signal_name(stopped_by)), state_.step,
      state_.samples, duration(seconds_now() - started_), log_.bad_samples().size(),
      state_.truncated,
      state_.skipped
          ? fmt::format(", {} step{} skipped", state_.skipped, state_.skipped == 1 ? "" : "s")
          : "",
      log_.folder()));
  if (!all) log_.line("continue with the same flags and --resume latest");
  if (const std::string lost = log_.losses(); !lost.empty())
    log_.line("warning: the checkpoint is complete, the log is not; lost: " + lost);
}

}  // namespace diptych
