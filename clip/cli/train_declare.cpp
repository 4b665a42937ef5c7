// clip/cli/train_declare.cpp — flags of `diptych train`. They keep open_clip's names and meaning
// where it has them.
#include "clip/cli/train_flags.h"

namespace diptych::cli {
namespace {

// With beta 1 a moment never learns what the gradients are; without eps a parameter that has had no
// gradient becomes 0 / 0. Both in f32, where less than these bounds is 1 and 0.
constexpr Bounds kMoment{0, 0.999999}, kEpsilon{1e-30, 1e15}, kShare{1e-6, 1}, kDropped{0, 0.99};

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

void declare_loss(Command command, TrainFlags& f) {
  command
      .choice(
          "--loss", f.loss,
          "softmax: over rows and columns of a batch; sigmoid: each pair by itself, with a bias "
          "of logits (default: what the weights were made for, else softmax)",
          {"softmax", "sigmoid"})
      .choice("--positives", f.positives,
              "which pairs of a batch are right for each other: each for itself (none), all with "
              "the same caption, all of the same picture (key)",
              {"none", "caption", "key"})
      .option("--tile", f.train.loss_tile,
              "rows and columns of logits at a time (default: 1024, or all of a batch that is no "
              "larger)",
              kAtLeastOne);
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

void declare_train(Command command, TrainFlags& flags) {
  declare_source(command, flags);
  declare_data(command, flags);
  declare_loss(command, flags);
  declare_optimizer(command, flags);
  declare_run(command, flags);
}

}  // namespace diptych::cli
