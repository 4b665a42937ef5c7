// clip/train/not_finite.cpp — what becomes of a step whose loss or gradient is not finite.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "clip/train/diagnosis.h"
#include "clip/train/train.h"
#include "clip/weights/run_folder.h"
#include "tensor/io/file.h"

namespace diptych {
namespace {

constexpr int64_t kMostInARow = 50, kMostRollbacks = 10;

constexpr std::pair<OnNan, const char*> kPolicies[] = {
    {OnNan::stop, "stop"}, {OnNan::skip, "skip"}, {OnNan::rollback, "rollback"}};

// A NaN's sign, which differs between machines, says nothing.
std::string number(double x) { return std::isnan(x) ? "nan" : fmt::format("{:g}", x); }

// "step 7: loss 2.1, gradient norm inf"
std::string numbers_of(const StepRecord& r) {
  return fmt::format("step {}: loss {}, gradient norm {}", r.step, number(r.loss),
                     number(r.grad_norm));
}

// "; its samples: a.png, b.png and 62 more"
std::string samples_of(const Batch& batch, const Dataset& dataset) {
  constexpr size_t kShown = 8;
  const std::vector<int64_t>& indices = batch.indices;
  std::string text = "; its samples: ";
  for (size_t i = 0; i < std::min(kShown, indices.size()); ++i)
    text += (i ? ", " : "") + dataset.name_of(indices[i]);
  if (indices.size() > kShown) text += fmt::format(" and {} more", indices.size() - kShown);
  return text;
}

}  // namespace

const char* name(OnNan policy) { return kPolicies[static_cast<size_t>(policy)].second; }

OnNan on_nan_from(const std::string& text) {
  for (const auto& [policy, name] : kPolicies)
    if (text == name) return policy;
  fail("--on-nan: '", text, "' is unknown; it must be stop, skip or rollback");
}

// What passes a step over must know before the next one whether that is so.
bool Trainer::waits_for_each_step() const { return state_.scaler || config_.on_nan != OnNan::stop; }

// The forward pass changes them, whatever becomes of its step.
std::vector<Tensor> Trainer::statistics() const {
  std::vector<Tensor> values;
  if (!waits_for_each_step()) return values;
  for (const auto& entry : model_.state())
    if (!entry.trained) values.push_back(entry.tensor.clone());
  return values;
}

void Trainer::restore_statistics(const std::vector<Tensor>& before) {
  auto value = before.begin();
  for (nn::Module::Entry& entry : model_.state())
    if (!entry.trained) entry.tensor.copy_(*value++);
}

// The parameters are those that the batch met, so it goes wrong in the same place again.
void Trainer::give_up(const QueuedStep& step, const StepRecord& record) {
  model_.zero_grad();
  const std::string why =
      diagnosis(model_, [&] { accumulate(step.batch, step.label, step.record.step - 1); });
  fail("train: ", numbers_of(record), why, samples_of(step.batch, dataset_),
       "; no step was taken. A lower --lr, a longer --warmup or --grad-clip-norm 1 may help; "
       "--on-nan skip or rollback would go on");
}

void Trainer::pass_over(const QueuedStep& step, StepRecord record) {
  const bool overflow = state_.scaler.has_value();
  if (!overflow && config_.on_nan == OnNan::stop) give_up(step, record);
  ++in_a_row_;
  if (overflow) state_.scaler->update(false);
  const bool exhausted = overflow && state_.scaler->exhausted();
  if (exhausted || in_a_row_ >= kMostInARow) {
    log_.line(exhausted ? fmt::format("the loss scale fell to {:g}, where no overflow is its fault",
                                      state_.scaler->scale)
                        : fmt::format("{} steps in a row were not finite", in_a_row_));
    give_up(step, record);
  }
  if (!overflow && config_.on_nan == OnNan::rollback) return roll_back(step);
  restore_statistics(step.statistics);
  optimizer_->forget_step();
  record.skipped = ++state_.skipped;
  log_.line(fmt::format("{}: skipped{}", numbers_of(record),
                        overflow ? fmt::format("; the loss scale is now {:g}", state_.scaler->scale)
                                 : samples_of(step.batch, dataset_)));
}

// The position in the data stays behind the bad batch, or it would come again.
void Trainer::roll_back(const QueuedStep& step) {
  const std::string newest = newest_checkpoint(log_.folder(), state_.step);
  if (newest.empty() || ++rollbacks_ > kMostRollbacks) {
    log_.line(newest.empty()
                  ? "there is no checkpoint to roll back to"
                  : fmt::format("{} rollbacks led to no new checkpoint", kMostRollbacks));
    give_up(step, read(step));
  }
  const TrainingState now = state_;
  restore_state(read_checkpoint(newest));
  const int64_t to = state_.step;
  state_ = now;
  state_.step = to;
  ++state_.skipped;
  log_.continue_from(to, log_.bad_samples().lines());
  log_.line(fmt::format("{}: rolled back to step {}{}", numbers_of(read(step)), to,
                        samples_of(step.batch, dataset_)));
}

}  // namespace diptych
