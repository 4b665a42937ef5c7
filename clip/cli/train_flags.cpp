// clip/cli/train_flags.cpp — flags of `diptych train`. They keep open_clip's names and meaning
// where it has them.
#include "clip/cli/train_flags.h"

#include <fmt/core.h>

#include <filesystem>

#include "tensor/io/file.h"

namespace diptych::cli {
namespace {

// With beta 1 a moment never learns what the gradients are; without eps a parameter that has had no
// gradient becomes 0 / 0. Both in f32, where less than these bounds is 1 and 0.
constexpr Bounds kMoment{0, 0.999999}, kEpsilon{1e-30, 1e15}, kShare{1e-6, 1}, kDropped{0, 0.99};

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
      {"--training-crop", own, "fashion is not cropped"}};
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

void declare_source(Command command, TrainFlags& f) {
  command
      .option("--preset", f.preset,
              "fashion: model, data and settings of the demo; other flags win over it")
      .option("--model", f.model,
              "architecture: small for pictures of one's own, ViT-S-32, ViT-B-32, … (see diptych "
              "info), or a .json file of one; tiny for benchmarks alone")
      .option(
          "--set", f.changes,
          "change the architecture: vision.layers=6, text.type=cbow, … (keys as in diptych info "
          "--json)")
      .option("--pretrained", f.source.model,
              "begin with the weights and the vocabulary of a file or folder that classify --model "
              "opens")
      .locks(f.locks)
      .option("--image-lr", f.image_lr, "peak learning rate of the image tower (default: --lr)",
              kNotNegative)
      .option("--text-lr", f.text_lr, "the same of the text tower", kNotNegative)
      .option("--layer-decay", f.train.tuning.layer_decay,
              "rates fall by this factor per layer from the output down", kShare);
  f.source.declare_options(command);
}

void declare_data(Command command, TrainFlags& f) {
  command
      .option(
          "--train-data", f.train_data,
          "fashion, a .tsv or .csv table, or a folder of pictures with .txt captions beside them")
      .option("--val-data", f.val_data,
              "pairs that are not trained on, as --train-data, or a folder with one sub-folder of "
              "pictures per class: loss, R@1, 5, 10 and zero-shot accuracy (of the average under "
              "--ema-decay); the best checkpoint is kept as <logs>/<name>/best")
      .option("--val-frequency", f.val_frequency, "epochs between validations (default 1)",
              kAtLeastOne)
      .option("--csv-separator", f.separator, "of tables; a tab by default")
      .option("--csv-img-key", f.columns.image_key, "column of picture paths")
      .option("--csv-caption-key", f.columns.caption_key, "column of captions")
      .image_limits(f.limits)
      .option("--max-bad-fraction", f.train.max_bad_fraction,
              "stop when more samples than this are damaged or missing", kFraction)
      .choice("--training-crop", f.training_crop,
              "resized: 90 to 100 % of the picture, stretched, as open_clip; square: as the paper",
              {"resized", "square"})
      .option("--workers", f.train.workers, "threads that prepare batches; 0: none", {0, 256});
}

void declare_optimizer(Command command, TrainFlags& f) {
  command.option("--batch-size", f.batch_size, "pairs per step (default 64)", kAtLeastOne)
      .accumulation(f.step)
      .option("--epochs", f.epochs, "passes over the data (default 32)", kAtLeastOne)
      .option("--max-steps", f.max_steps, "stop after this many steps", kAtLeastOne)
      .choice("--opt", f.train.optimizer_name, "optimizer", nn::optimizer_names())
      .option("--lr", f.lr, "peak learning rate (default 5e-4)", kNotNegative)
      .option("--warmup", f.warmup,
              "steps of linear warm-up (default: a tenth of the run, at most 2000)", kNotNegative)
      .choice("--lr-scheduler", f.train.schedule.name, "how the rate falls after the warm-up",
              nn::schedule_names())
      .option("--epochs-cooldown", f.train.schedule.cooldown_epochs,
              "of const-cooldown: the last epochs, in which the rate falls", kNotNegative)
      .option("--lr-cooldown-end", f.train.schedule.cooldown_end, "to which rate", kNotNegative)
      .option("--lr-cooldown-power", f.train.schedule.cooldown_power, "1: linearly", {1e-3, 1e3})
      .option("--wd", f.wd, "weight decay (default 0.2)", kNotNegative)
      .option("--momentum", f.train.optimizer.momentum, "of sgd", kMoment)
      .option("--beta1", f.train.optimizer.beta1, "of adamw, adam and lion", kMoment)
      .option("--beta2", f.beta2, "likewise (default 0.98; ResNets 0.999; lion 0.99)", kMoment)
      .option("--eps", f.eps, "of adamw and adam (default 1e-6; ResNets 1e-8)", kEpsilon)
      .option("--dropout", f.train.dropout,
              "share of what each block that is trained adds that is left out", kDropped)
      .option("--patch-dropout", f.train.patch_dropout,
              "share of each picture's patches that are left out: faster, and a little less exact",
              kDropped)
      .option(
          "--ema-decay", f.train.ema_decay,
          "keep an average of the parameters, such as 0.999, beside them: ema.safetensors of each "
          "checkpoint; validation is of it",
          kMoment)
      .option("--grad-clip-norm", f.clip,
              "scale gradients down to this norm (default: no clipping)", kNotNegative);
}

void declare_run(Command command, TrainFlags& f) {
  command.option("--seed", f.train.seed, "of parameters, order and augmentation")
      .option("--logs", f.logs, "folder of all runs")
      .option("--name", f.name, "of this run; its folder is <logs>/<name>")
      .option("--resume", f.resume,
              "the folder of a run or of a checkpoint, or \"latest\" of --name (the beginning, if "
              "nothing is saved yet); the flags of the run need not be repeated")
      .option("--save-frequency", f.train.save_every, "epochs between checkpoints", kAtLeastOne)
      .option("--keep", f.train.keep, "checkpoints kept", kAtLeastOne)
      .option("--log-every-n-steps", f.train.log_every, "steps between lines of the log",
              kAtLeastOne)
      .choice("--report-to", f.report_to,
              "tensorboard: event files beside the log, in <logs>/<name>/tensorboard",
              {"none", "tensorboard"})
      .choice(
          "--on-nan", f.on_nan,
          "what a loss or gradient that is not finite leads to: stop; skip the step; rollback to "
          "the newest checkpoint",
          {"stop", "skip", "rollback"})
      .device(f)
      .json(f.json)
      .threads()
      .given(f.given);
  f.types.declare(command);
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

void declare_train(Command command, TrainFlags& flags) {
  declare_source(command, flags);
  declare_data(command, flags);
  declare_optimizer(command, flags);
  declare_run(command, flags);
}

}  // namespace diptych::cli
