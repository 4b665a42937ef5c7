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

// One tensor behind the other, f64.
Tensor joined(const std::vector<Tensor>& numbers) {
  Tensor all = empty({static_cast<int64_t>(numbers.size())}, DType::f64, numbers[0].device());
  for (size_t i = 0; i < numbers.size(); ++i)
    all.select(0, static_cast<int64_t>(i)).copy_(numbers[i]);
  return all;
}

// What somebody may wonder about who compares the first loss with ln B.
std::string first_loss_note(const StepRecord& r) {
  std::string text = r.sigmoid
                         ? fmt::format("chance {:.4f}: all logits alike, at best", r.chance_loss)
                         : fmt::format("ln B = {:.4f}: all {} pairs equally likely", r.chance_loss,
                                       std::llround(std::exp(r.chance_loss)));
  if (r.loss > r.chance_loss && !r.sigmoid)
    text +=
        fmt::format("; chance cosines, times {:.1f}, add half their variance to it", r.logit_scale);
  if (r.loss_floor > 0)
    text += fmt::format("; floor {:.4f}: captions that repeat in the batch cannot be told apart",
                        r.loss_floor);
  return text;
}

// The model comes into its precision, and is locked where it shall be, before the optimizer makes
// moments for what is left.
std::unique_ptr<nn::Optimizer> prepare(Clip& model, const TrainConfig& c) {
  model.use(c.precision);
  model.set_checkpointing(c.grad_checkpointing);
  if (c.tuning.lock_image) model.lock_image(c.tuning.unlocked_groups);
  if (c.tuning.lock_text) model.lock_text();
  auto optimizer = nn::make_optimizer(c.optimizer_name, model,
                                      optimizer_config(c.optimizer, c.precision, c.seed));
  optimizer->set_rates(
      [&](const std::string& name) { return rate_of(place_of(name, model.config()), c.tuning); });
  return optimizer;
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
  check(config.schedule.cooldown_epochs <= c.max_steps / batches,
        "train: the rate cannot fall during ", config.schedule.cooldown_epochs, " epochs of ",
        batches, " steps, the run has ", c.max_steps, "; lower --epochs-cooldown");
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
      optimizer_(prepare(model, config)),
      loader_(dataset, tokenizer, loader_options(model, config)),
      pixel_table_(pixel_table(model.config().preprocess).to(model.device())) {
  check(tokenizer.vocab_size() <= model.config().text.vocab_size, "train: the tokenizer has ",
        tokenizer.vocab_size(), " tokens, the model knows ", model.config().text.vocab_size);
  state_.precision = name(config.precision.precision);
  state_.round_to_nearest = config.precision.round_to_nearest;
  if (config.precision.precision == Precision::amp_fp16) state_.scaler.emplace();
  if (config.ema_decay > 0) ema_.emplace(model, config.ema_decay);
  model_.train();
  log_.line(optimizer_->groups(/*names=*/false) + "; out.log has their names");
  log_.detail(optimizer_->groups());
}

void Trainer::resume(const Checkpoint& checkpoint) {
  check(checkpoint.state.settings == state_.settings, "resume: '", checkpoint.folder,
        "' is of a run with other settings or data than this one");
  restore_state(checkpoint);
  log_.line(fmt::format("resuming {} at step {}", checkpoint.folder, state_.step));
}

nn::Schedule Trainer::schedule() const {
  const ScheduleConfig& s = config_.schedule;
  return {
      s.name,           config_.warmup, config_.max_steps, s.cooldown_epochs * loader_.batches(),
      s.cooldown_power, s.cooldown_end};
}

double Trainer::loss_scale() const { return state_.scaler ? state_.scaler->scale : 1; }

// What is not in the file because the precision was another stays as it begins.
void Trainer::restore_state(const Checkpoint& checkpoint) {
  model_.use({});  // f32 holds every value of the file, and use() looks at them
  TrainingState state = restore(checkpoint, model_, *optimizer_, ema_ ? &*ema_ : nullptr);
  model_.use(config_.precision);
  if (!state.scaler) state.scaler = state_.scaler;
  if (!state_.scaler) state.scaler.reset();
  state.precision = state_.precision;
  state.round_to_nearest = state_.round_to_nearest;
  state_ = std::move(state);
  saved_step_ = state_.step;
  saved_skipped_ = state_.skipped;
}

// `step` counts from 0: what is left out is a function of it.
Tensor Trainer::accumulate(const Batch& batch, const Tensor& label, int64_t step) {
  if (config_.dropout > 0 || config_.patch_dropout > 0)
    model_.set_dropping(config_.dropout, config_.patch_dropout, config_.seed, step);
  return accumulate_gradients(model_, {batch.pixels, pixel_table_}, batch.captions,
                              {loss_scale(), config_.accum_freq, {label, config_.loss_tile}});
}

QueuedStep Trainer::queue_step(Batch batch) {
  batch.pixels = batch.pixels.to(model_.device());
  const Tensor label = positive_labels(config_.positives, batch, dataset_);
  const LossBounds bounds = is_logged(state_.step + 1)
                                ? loss_bounds(batch.captions, label, model_.logit_bias().defined())
                                : LossBounds{};
  const double lr = nn::rate_at(schedule(), config_.lr, state_.step);
  batch.captions = batch.captions.to(model_.device());
  std::vector<Tensor> before = statistics();
  const Tensor loss = accumulate(batch, label, state_.step);
  const Tensor squares = nn::grad_squares(model_);
  optimizer_->step(lr, spoiled(squares, loss), config_.grad_clip_norm, loss_scale());
  model_.zero_grad();
  const auto pairs = static_cast<int64_t>(batch.indices.size());
  ++state_.step;
  if (!waits_for_each_step()) average();
  state_.samples += pairs;
  return {std::move(batch), label, record_of(lr, bounds),
          HostCopy(joined({loss, squares, model_.logit_scale(), optimizer_->vanished()})),
          std::move(before)};
}

StepRecord Trainer::read(const QueuedStep& step) const {
  const std::vector<double> numbers = step.numbers.wait().to_vector<double>();
  StepRecord r = step.record;
  r.loss = numbers[0];
  r.grad_norm = std::sqrt(numbers[1]) / (r.loss_scale > 0 ? r.loss_scale : 1);
  r.logit_scale = std::exp(numbers[2]);
  if (const int64_t half = optimizer_->half_moments(); half > 0)
    r.vanished = numbers[3] / static_cast<double>(half);
  return r;
}

StepRecord Trainer::finish(const QueuedStep& step) {
  const StepRecord record = read(step);
  if (!is_finite(record)) give_up(step, record);
  return record;
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

bool Trainer::is_logged(int64_t step) const {
  return step == 1 || step % config_.log_every == 0 || step == config_.max_steps;
}

// Of the step just queued, as things stand now. Rates are of the time since the last logged step.
StepRecord Trainer::record_of(double lr, const LossBounds& bounds) {
  const double time = seconds_now(), span = time - window_.since;
  StepRecord r;
  r.step = state_.step;
  r.steps = config_.max_steps;
  r.epoch = state_.epoch + 1;
  r.samples = state_.samples;
  r.sigmoid = model_.logit_bias().defined();
  r.chance_loss = bounds.chance;
  r.loss_floor = bounds.floor;
  r.lr = lr;
  r.pairs_per_second = static_cast<double>(state_.samples - window_.samples) / span;
  r.data_wait = (loader_.wait_seconds() - window_.waited) / span;
  r.eta_seconds = (time - started_) / static_cast<double>(state_.step - first_step_) *
                  static_cast<double>(config_.max_steps - state_.step);
  r.bad_samples = log_.bad_samples().size();
  r.truncated = state_.truncated;
  r.skipped = state_.skipped;
  r.loss_scale = state_.scaler ? state_.scaler->scale : 0;
  if (is_logged(r.step)) window_ = {time, loader_.wait_seconds(), state_.samples};
  return r;
}

// A step that may be passed over counts once it is known to be good.
void Trainer::average() {
  if (ema_) ema_->update(state_.step);
}

// Reads and tells the numbers of the last step, if nobody has.
void Trainer::settle() {
  if (!last_) return;
  const QueuedStep step = std::move(*last_);
  last_.reset();
  const StepRecord record = read(step);
  if (!is_finite(record)) return pass_over(step, record);
  in_a_row_ = 0;
  if (state_.scaler) state_.scaler->update(true);
  if (waits_for_each_step()) average();
  tell(record);
}

void Trainer::tell(StepRecord record) {
  state_.window_loss += record.loss;
  ++state_.window_steps;
  if (is_logged(record.step)) {
    record.mean_loss = state_.window_loss / static_cast<double>(state_.window_steps);
    state_.window_loss = 0;
    state_.window_steps = 0;
    log_.step(record);
    if (record.step == 1) log_.line(first_loss_note(record));
  }
  log_.show_progress(record.step, config_.max_steps, fmt::format("loss {:.3f}", record.loss));
  constexpr double kMostLost = 0.01;
  if (warned_of_moments_ || record.vanished <= kMostLost) return;
  warned_of_moments_ = true;
  log_.line(
      fmt::format("warning: step {}: {:.1f} % of the second moments became 0 in f16: their "
                  "parameters move by m / eps; --adam-stats f32 keeps them",
                  record.step, 100 * record.vanished));
}

}  // namespace diptych
