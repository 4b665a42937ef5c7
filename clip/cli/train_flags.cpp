// clip/cli/train_flags.cpp — what the flags of `diptych train` come to together, and what they may
// not say.
#include "clip/cli/train_flags.h"

#include <fmt/core.h>

#include <filesystem>

#include "tensor/io/file.h"

namespace diptych::cli {
namespace {

// Chosen on the validation split; see the README for how.
void apply_preset(TrainFlags& f) {
  if (f.preset.empty()) return;
  check_usage(f.preset == "fashion", "train: there is no preset '", f.preset, "'; known: fashion");
  if (f.model.empty() && f.source.model.empty()) f.model = "fashion";
  if (f.train_data.empty()) f.train_data = "fashion";
  if (f.name.empty()) f.name = f.preset;
  f.train.batch_size = 128;
  f.train.epochs = 5;
  f.train.lr = 2e-3;
  f.train.optimizer.weight_decay = 0.05;
  f.train.grad_clip_norm = 1;
}

std::string default_name(const TrainFlags& f) {
  const std::filesystem::path path(f.what());
  const std::string model = path.has_filename() ? path.stem() : path.parent_path().filename();
  return fmt::format("{}-lr_{}-b_{}", model, f.train.lr, f.train.batch_size);
}

// A rate of a tower as a share of the common one.
double share(const std::optional<double>& rate, const char* flag, double lr) {
  check_usage(!rate || lr > 0, "train: ", flag, " needs an --lr above 0, of which it is a share");
  return rate ? *rate / lr : 1;
}

/// A flag that says nothing beside others.
struct Idle {
  const char* flag;
  bool idle;
  const char* why;
};

// Nothing that was asked for is passed over.
void check_idle(const TrainFlags& f) {
  const std::string& opt = f.train.optimizer_name;
  const TuningConfig& t = f.train.tuning;
  const bool image = t.lock_image && t.unlocked_groups == 0,
             cools = f.train.schedule.name == "const-cooldown", own = f.train_data == "fashion",
             adam = opt == "adamw" || opt == "adam";
  const Idle all[] = {
      {"--image-lr", image, "the image tower is locked"},
      {"--text-lr", t.lock_text, "the text tower is locked"},
      {"--layer-decay", image && t.lock_text, "both towers are locked"},
      {"--grad-checkpointing", image && t.lock_text, "both towers are locked"},
      {"--val-frequency", f.val_data.empty(), "there is no --val-data"},
      {"--momentum", opt != "sgd", "it is of --opt sgd"},
      {"--beta1", opt == "sgd", "sgd has --momentum"},
      {"--beta2", opt == "sgd", "sgd has --momentum"},
      {"--eps", !adam, "it is of --opt adamw and adam"},
      {"--epochs-cooldown", !cools, "it is of --lr-scheduler const-cooldown"},
      {"--lr-cooldown-end", !cools, "it is of --lr-scheduler const-cooldown"},
      {"--lr-cooldown-power", !cools, "it is of --lr-scheduler const-cooldown"},
      {"--csv-img-key", own && f.val_data.empty(), "fashion is no table"},
      {"--csv-caption-key", own && f.val_data.empty(), "fashion is no table"},
      {"--csv-separator", own && f.val_data.empty(), "fashion is no table"},
      {"--max-image-pixels", own && f.val_data.empty(), "fashion has no picture files"},
      {"--training-crop", own, "fashion is not cropped"},
      {"--positives", own && f.positives == "key", "each picture of fashion has one caption"}};
  for (const auto& [flag, idle, why] : all)
    check_usage(!idle || !f.given.contains(flag), "train: ", flag, " says nothing here: ", why);
}

void settle_tuning(TrainFlags& f) {
  TuningConfig& t = f.train.tuning;
  t.image_rate = share(f.image_lr, "--image-lr", f.train.lr);
  t.text_rate = share(f.text_lr, "--text-lr", f.train.lr);
  f.locks.check();
  t.lock_image = f.locks.lock_image;
  t.lock_text = f.locks.lock_text;
  t.unlocked_groups = f.locks.unlocked_groups;
  ModelFlags beside_vocabulary = f.source;
  beside_vocabulary.vocab.clear();
  check_usage(
      !beside_vocabulary.any() || !f.source.model.empty(),
      "train: --activation, --config, --sha256, --image-size and heads describe the file of "
      "--pretrained, and there is none");
}

// Something is left out where a block is trained, for which a bag of words counts.
void check_dropping(const TrainFlags& f, const ModelConfig& c) {
  constexpr int64_t kBehindBlocks = 1;  // groups of an image tower: its projection
  const TuningConfig& t = f.train.tuning;
  const bool image = !t.lock_image || t.unlocked_groups > kBehindBlocks;
  check_usage(!c.resnet() || (f.train.patch_dropout == 0 && (f.train.dropout == 0 || !image)),
              "train: --dropout and --patch-dropout are of transformers, the image tower of ",
              f.what(), " is a ResNet");
  check_usage(f.train.patch_dropout == 0 || image,
              "train: --patch-dropout says nothing here: no block of the image tower is trained");
  check_usage(f.train.dropout == 0 || image || !t.lock_text,
              "train: --dropout says nothing here: no block of either tower is trained");
}

void settle_schedule(const TrainFlags& f) {
  const ScheduleConfig& s = f.train.schedule;
  const bool cools = s.name == "const-cooldown";
  check_usage(!cools || s.cooldown_epochs > 0,
              "train: --lr-scheduler const-cooldown needs --epochs-cooldown");
  check_usage(s.cooldown_end <= f.train.lr, "train: --lr-cooldown-end ", s.cooldown_end,
              " is above the rate it ends, --lr ", f.train.lr);
}

}  // namespace

std::string TrainFlags::folder() const { return (std::filesystem::path(logs) / name).string(); }

GivenFlags TrainFlags::kept() const {
  GivenFlags flags = given;
  for (const char* flag : {"--json", "--resume", "--logs", "--name", "--precision", "--adam-stats",
                           "--text-weights", "--rounding"})
    flags.erase(flag);
  for (const char* flag : {"--train-data", "--val-data", "--vocab", "--pretrained", "--config"}) {
    const auto it = flags.find(flag);
    if (it == flags.end()) continue;
    for (std::string& path : it->second)
      if (path != "fashion" && is_there(path))
        path = std::filesystem::absolute(path).lexically_normal().string();
  }
  return flags;
}

void TrainFlags::settle() {
  apply_preset(*this);
  train.device = device();
  train.on_nan = on_nan_from(on_nan);
  train.positives = positives_from(positives);
  train.batch_size = batch_size.value_or(train.batch_size);
  step.check(train.batch_size);
  train.accum_freq = step.accum_freq;
  train.grad_checkpointing = step.grad_checkpointing;
  train.epochs = epochs.value_or(train.epochs);
  train.max_steps = max_steps.value_or(train.max_steps);
  train.warmup = warmup.value_or(train.warmup);
  train.lr = lr.value_or(train.lr);
  train.optimizer.weight_decay = wd.value_or(train.optimizer.weight_decay);
  train.grad_clip_norm = clip.value_or(train.grad_clip_norm);
  check_usage(
      resume != "latest" || !name.empty() || !model.empty() || !source.model.empty(),
      "train: --resume latest is of --name; give it, or the folder of the run in the place of "
      "latest");
  const bool says_what = !model.empty() || !source.model.empty();
  check_usage(says_what && !train_data.empty(),
              "train: give --preset, or --model or --pretrained, and --train-data");
  columns.separator = separator_from(separator);
  train.val_every = val_frequency.value_or(train.val_every);
  settle_tuning(*this);
  settle_schedule(*this);
  check_idle(*this);
  if (name.empty()) name = default_name(*this);
}

// Radford et al. (2021), tables 18 and 19: ResNets were trained with other moments. Lion's are of
// Chen et al. (2023).
void TrainFlags::settle_for(const ModelConfig& config) {
  check_dropping(*this, config);
  const bool lion = train.optimizer_name == "lion";
  check_usage(train.optimizer_name == "adamw" || train.precision.adam_stats == DType::f32,
              "train: --adam-stats f16 is of --opt adamw");
  train.optimizer.beta2 = beta2.value_or(lion ? 0.99 : config.resnet() ? 0.999 : 0.98);
  train.optimizer.eps = eps.value_or(config.resnet() ? 1e-8 : 1e-6);
}

}  // namespace diptych::cli
