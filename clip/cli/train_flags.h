// clip/cli/train_flags.h — what `diptych train` is asked for.
#pragma once

#include <optional>

#include "clip/cli/command.h"
#include "clip/cli/train_precision.h"
#include "clip/train/run_settings.h"

namespace diptych::cli {

struct TrainFlags : DeviceFlag {
  TrainPrecisionFlags types;
  LockFlags locks;
  StepFlags step;
  ModelFlags source;  ///< --pretrained, and what its file leaves open
  std::string on_nan = diptych::name(OnNan::stop), report_to = "none";
  std::string preset, model, train_data, val_data, logs = "./logs", name, resume, separator = "\t";
  std::string training_crop;  ///< empty: the model's
  std::string loss;           ///< empty: that of the model
  std::string positives = diptych::name(Positives::none);
  std::vector<std::string> changes;  ///< of the architecture, "key=value"
  PairOptions columns;
  ImageLimits limits;
  TrainConfig train;
  GivenFlags given;
  bool json = false;
  // Given on the command line, these win over the preset.
  std::optional<int64_t> batch_size, epochs, max_steps, warmup, val_frequency;
  std::optional<double> lr, wd, clip, beta2, eps, image_lr, text_lr;

  const std::string& vocab() const { return source.vocab; }
  std::string folder() const;  ///< of the run
  /// What is trained: --model or --pretrained.
  const std::string& what() const { return model.empty() ? source.model : model; }

  /// What --resume repeats: the flags given, but for those about resuming and the precision, which
  /// has keys of its own in params.json. Paths start at the root.
  GivenFlags kept() const;

  /// Brings presets and flags together in `train`, `columns` and `name`. Throws UsageError where
  /// they contradict each other or say too little.
  void settle();
  /// The moments that models of that kind were trained with, unless given.
  void settle_for(const ModelConfig&);
};

void declare_train(Command, TrainFlags&);

}  // namespace diptych::cli
