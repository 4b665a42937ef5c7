// clip/train/run_memory.cpp — what a run will take, and what it took.
#include <fmt/core.h>

#include "clip/train/train.h"
#include "tensor/allocator.h"

namespace diptych {
namespace {

int64_t mib(int64_t bytes) { return bytes >> 20; }

// The batch of the step before, whose numbers are read last; on the host also those that the loader
// keeps ready, and one that each worker puts together out of its pictures.
int64_t batches_ahead(const TrainConfig& c) {
  if (c.device != Device::cpu || c.workers == 0) return 1;
  return 1 + LoaderOptions().prefetch + 2 * c.workers;
}

}  // namespace

TrainingSetup training_setup(const ModelConfig& model, const TrainConfig& c) {
  TrainingSetup setup{c.batch_size, model.text.context_length, c.precision, c.grad_checkpointing,
                      c.accum_freq};
  setup.moments = c.optimizer_name == "sgd" || c.optimizer_name == "lion" ? 1 : 2;
  setup.average = c.ema_decay > 0;
  setup.batches_ahead = batches_ahead(c);
  return setup;
}

void check_fits(const ModelConfig& model, const TrainConfig& c, int64_t limit) {
  if (c.device == Device::cpu) check_fits(model, training_setup(model, c), limit);
}

void Trainer::say_memory() {
  const TrainingMemory m =
      training_memory(model_.config(), training_setup(model_.config(), config_));
  expected_bytes_ = m.peak;
  log_.line(fmt::format(
      "memory: about {} MiB of tensors at most: parameters {}, moments {}, batches {}, and at the "
      "peak gradients {}, kept {}, passing {}",
      mib(m.peak), mib(m.parameters + m.copies), mib(m.moments), mib(m.batch + m.ahead),
      mib(m.gradients_then), mib(m.kept_then), mib(m.temporaries_then)));
}

void Trainer::say_memory_taken() {
  log_.line(fmt::format("memory: {} MiB of tensors at most, {} were estimated",
                        mib(allocator(model_.device()).stats().peak_bytes), mib(expected_bytes_)));
}

}  // namespace diptych
