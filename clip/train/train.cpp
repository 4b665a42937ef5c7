// clip/train/train.cpp — one step, one epoch, one run.
#include "clip/train/train.h"

#include <fmt/core.h>

#include <cmath>

#include "clip/train/step.h"
#include "nn/schedule.h"

namespace diptych {
namespace {

LoaderOptions loader_options(const Clip& model, const TrainConfig& c) {
  LoaderOptions o;
  o.batch_size = c.batch_size;
  o.workers = c.workers;
  o.seed = c.seed;
  o.context_length = model.config().text.context_length;
  o.drop_last = true;
  return o;
}

// The first parameter whose gradient is not finite, for the message.
std::string first_bad_gradient(const Clip& model) {
  for (const auto& entry : model.named_parameters()) {
    if (!grad(entry.tensor).defined()) continue;
    for (const double g : grad(entry.tensor).to_vector<double>()) {
      if (!std::isfinite(g)) return "; the gradient of " + entry.name + " is not finite";
    }
  }
  return "";
}

}  // namespace

TrainConfig resolved(const TrainConfig& config, int64_t pairs) {
  const int64_t batches = pairs / config.batch_size;
  check(batches > 0, "train: ", pairs, " samples do not fill one batch of ", config.batch_size,
        "; lower --batch-size");
  constexpr int64_t kMostSteps = 1'000'000'000'000'000;
  check(config.epochs <= kMostSteps / batches, "train: ", config.epochs, " epochs of ", batches,
        " batches are too many; lower --epochs");
  TrainConfig c = config;
  const int64_t all = c.epochs * batches;
  c.max_steps = c.max_steps > 0 ? std::min(c.max_steps, all) : all;
  if (c.warmup < 0) c.warmup = std::min<int64_t>(2000, c.max_steps / 10);
  return c;
}

Trainer::Trainer(Clip& model, const Tokenizer& tokenizer, const Dataset& dataset,
                 const TrainConfig& config, RunLog& log)
    : model_(model),
      tokenizer_(tokenizer),
      dataset_(dataset),
      config_(resolved(config, dataset.size())),
      log_(log),
      optimizer_(model, config.adamw),
      loader_(dataset, tokenizer, loader_options(model, config)) {
  model_.train();
  log_.line(optimizer_.groups());
}

void Trainer::resume(const Checkpoint& checkpoint) {
  check(checkpoint.state.settings == state_.settings, "resume: '", checkpoint.folder,
        "' is of a run with other settings or data than this one");
  state_ = restore(checkpoint, model_, optimizer_);
  saved_step_ = state_.step;
  log_.line(fmt::format("resuming {} at step {}", checkpoint.folder, state_.step));
}

StepResult Trainer::step(const Batch& batch) {
  StepResult result;
  result.lr = nn::cosine_with_warmup(state_.step, config_.lr, config_.warmup, config_.max_steps);
  result.loss = accumulate_gradients(model_, batch.pixels, batch.captions);
  const Tensor squares = nn::grad_squares(model_);
  result.grad_norm = std::sqrt(squares.item());
  // Not check(), whose arguments are computed in any case: this one reads every gradient.
  if (!std::isfinite(result.loss) || !std::isfinite(result.grad_norm))
    fail("train: step ", state_.step + 1, ": loss ", result.loss, ", gradient norm ",
         result.grad_norm, first_bad_gradient(model_),
         "; no step was taken. A lower --lr, a longer --warmup or --grad-clip-norm 1 may help");
  optimizer_.step(result.lr, squares, config_.grad_clip_norm);
  model_.zero_grad();
  ++state_.step;
  state_.samples += static_cast<int64_t>(batch.indices.size());
  return result;
}

void Trainer::account_for(const Batch& batch) {
  state_.truncated += batch.truncated;
  for (const BadSample& bad : batch.bad) log_.bad_sample(bad);
  const int64_t bad = log_.bad_samples().size() + config_.left_out;
  const int64_t found = dataset_.size() + config_.left_out;
  check(static_cast<double>(bad) <= config_.max_bad_fraction * static_cast<double>(found),
        "train: ", bad, " of ", found, " samples are bad, more than --max-bad-fraction ",
        config_.max_bad_fraction, "; they are named in ", log_.folder(), "/bad_samples.tsv");
}

void Trainer::report(const StepResult& result, int64_t batch_pairs) {
  const double time = seconds_now(), span = time - window_.since;
  StepRecord r;
  r.step = state_.step;
  r.steps = config_.max_steps;
  r.epoch = state_.epoch + 1;
  r.samples = state_.samples;
  r.loss = result.loss;
  r.chance_loss = std::log(static_cast<double>(batch_pairs));
  r.lr = result.lr;
  r.grad_norm = result.grad_norm;
  r.logit_scale = std::exp(model_.logit_scale().item());
  r.pairs_per_second = static_cast<double>(state_.samples - window_.samples) / span;
  r.data_wait = (loader_.wait_seconds() - window_.waited) / span;
  r.eta_seconds = (time - started_) / static_cast<double>(state_.step - first_step_) *
                  static_cast<double>(config_.max_steps - state_.step);
  r.bad_samples = log_.bad_samples().size();
  r.truncated = state_.truncated;
  log_.step(r);
  window_ = {time, loader_.wait_seconds(), state_.samples};
}

void Trainer::save() {
  if (saved_step_ == state_.step) return;
  state_.bad_samples = log_.bad_samples().lines();
  const std::string left =
      save_checkpoint(log_.folder(), model_, tokenizer_, optimizer_, state_, config_.keep);
  saved_step_ = state_.step;
  if (!left.empty()) log_.line("warning: step " + std::to_string(state_.step) + " is saved" + left);
}

// A disk that is full now may have room at the end: training goes on, the last save decides.
// Parameters that are not finite stay so.
bool Trainer::try_save() {
  try {
    save();
    return true;
  } catch (const Error& error) {
    if (!first_not_finite(model_, optimizer_).empty()) throw;
    log_.line(fmt::format("warning: {}; training goes on", error.what()));
    return false;
  }
}

bool Trainer::run_epoch(Signals& signals) {
  loader_.start(state_.epoch, state_.batch);
  window_.waited = 0;
  while (state_.step < config_.max_steps && !signals.stop()) {
    const auto batch = loader_.next();
    if (!batch) return true;
    account_for(*batch);
    ++state_.batch;
    const StepResult result = step(*batch);
    if (state_.step == 1 || state_.step % config_.log_every == 0 ||
        state_.step == config_.max_steps) {
      report(result, static_cast<int64_t>(batch->indices.size()));
    }
    log_.show_progress(state_.step, config_.max_steps, fmt::format("loss {:.3f}", result.loss));
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
  log_.line(fmt::format("{} pairs, {} steps of {} pairs ({} per epoch), warm-up {}, seed {}",
                        dataset_.size(), config_.max_steps, config_.batch_size, loader_.batches(),
                        config_.warmup, config_.seed));
  while (run_epoch(signals)) {
    state_.batch = 0;
    ++state_.epoch;
    if (state_.epoch % config_.save_every == 0) try_save();
  }
  save();
  const int stopped_by = signals.stop();
  say_end(stopped_by);
  return stopped_by;
}

void Trainer::say_end(int stopped_by) {
  const bool all = state_.step == config_.max_steps;
  log_.line(
      fmt::format("{} after {} steps, {} pairs, {}; {} bad samples, {} captions truncated; "
                  "checkpoint in {}/checkpoints",
                  all ? "done" : fmt::format("stopped by {}", signal_name(stopped_by)), state_.step,
                  state_.samples, duration(seconds_now() - started_), log_.bad_samples().size(),
                  state_.truncated, log_.folder()));
  if (!all) log_.line("continue with the same flags and --resume latest");
  if (const std::string lost = log_.losses(); !lost.empty())
    log_.line("warning: the checkpoint is complete, the log is not; lost: " + lost);
}

}  // namespace diptych
