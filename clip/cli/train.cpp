// clip/cli/train.cpp — `diptych train`. Flags keep open_clip's names and meaning where it has them.
#include "clip/train/train.h"

#include <fmt/core.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "clip/cli/command.h"
#include "clip/data_source.h"
#include "clip/weights/run_folder.h"
#include "clip/weights/vocabulary.h"
#include "tensor/io/file.h"
#include "tensor/parallel.h"

namespace diptych::cli {
namespace {

struct Flags {
  std::string preset, model, train_data, vocab, logs = "./logs", name, resume, separator = "\t";
  std::string training_crop = diptych::name(TrainingCrop::resized);
  PairOptions columns;
  ImageLimits limits;
  TrainConfig train;
  // Given on the command line, these win over the preset.
  std::optional<int64_t> batch_size, epochs, max_steps, warmup;
  std::optional<double> lr, wd, clip, beta2, eps;
};

// Chosen on the validation split; see the README for how.
void apply_preset(Flags& f) {
  if (f.preset.empty()) return;
  check(f.preset == "fashion", "train: there is no preset '", f.preset, "'; known: fashion");
  if (f.model.empty()) f.model = "fashion";
  if (f.train_data.empty()) f.train_data = "fashion";
  if (f.name.empty()) f.name = f.preset;
  f.train.batch_size = 128;
  f.train.epochs = 5;
  f.train.lr = 2e-3;
  f.train.adamw.weight_decay = 0.05;
  f.train.grad_clip_norm = 1;
}

void apply_flags(Flags& f) {
  f.train.batch_size = f.batch_size.value_or(f.train.batch_size);
  f.train.epochs = f.epochs.value_or(f.train.epochs);
  f.train.max_steps = f.max_steps.value_or(f.train.max_steps);
  f.train.warmup = f.warmup.value_or(f.train.warmup);
  f.train.lr = f.lr.value_or(f.train.lr);
  f.train.adamw.weight_decay = f.wd.value_or(f.train.adamw.weight_decay);
  f.train.grad_clip_norm = f.clip.value_or(f.train.grad_clip_norm);
  check(!f.model.empty() && !f.train_data.empty(),
        "train: give --preset, or --model and --train-data");
  check(f.separator.size() == 1 || f.separator == "\\t",
        "train: --csv-separator must be one character");
  f.columns.separator = f.separator == "\\t" ? '\t' : f.separator[0];
  if (f.name.empty())
    f.name = fmt::format("{}-lr_{}-b_{}", f.model, f.train.lr, f.train.batch_size);
}

// What must stay the same for a resumed run to be the run that was begun.
nlohmann::ordered_json parameters(const Flags& f, const ModelConfig& config) {
  const TrainConfig& t = f.train;
  return {{"train_data", f.train_data},
          {"batch_size", t.batch_size},
          {"epochs", t.epochs},
          {"max_steps", t.max_steps},
          {"lr", t.lr},
          {"warmup", t.warmup},
          {"beta1", t.adamw.beta1},
          {"beta2", t.adamw.beta2},
          {"eps", t.adamw.eps},
          {"wd", t.adamw.weight_decay},
          {"grad_clip_norm", t.grad_clip_norm},
          {"seed", t.seed},
          {"model", nlohmann::ordered_json::parse(to_json(config))}};
}

void check_same_parameters(const std::string& path, const nlohmann::ordered_json& now) {
  const auto before = nlohmann::ordered_json::parse(read_file(path), nullptr, false);
  check(before.is_object(), "resume: '", path, "' is damaged");
  for (const auto& [key, value] : now.items()) {
    const auto it = before.find(key);
    check(it != before.end() && *it == value, "resume: ", key, " was ",
          it == before.end() ? "not set" : it->dump(), ", now it is ", value.dump(),
          "; resume with the flags of the run that was begun");
  }
}

// The checkpoint to go on from; empty for a new run.
std::string resume_point(const Flags& f, const std::string& folder) {
  if (f.resume.empty()) return {};
  if (f.resume != "latest") return f.resume;
  const std::string checkpoint = newest_checkpoint(folder);
  check(!checkpoint.empty(), "resume: '", folder, "' holds no intact checkpoint");
  return checkpoint;
}

// A model of OpenAI's size gets OpenAI's vocabulary if it is there; others get their own.
Tokenizer make_tokenizer(const Flags& f, const Texts& captions, int64_t vocab_size) {
  std::string path = f.vocab;
  if (path.empty() && vocab_size == kOpenAiVocabulary) path = find_vocabulary();
  return path.empty() ? Tokenizer::train(captions, std::max(vocab_size, Tokenizer::kSmallest))
                      : Tokenizer::load(path);
}

// Radford et al. (2021), tables 18 and 19: ResNets were trained with other moments.
void apply_model(Flags& f, ModelConfig& config) {
  config.preprocess.training_crop = training_crop_from(f.training_crop);
  f.train.adamw.beta2 = f.beta2.value_or(config.resnet() ? 0.999 : 0.98);
  f.train.adamw.eps = f.eps.value_or(config.resnet() ? 1e-8 : 1e-6);
}

void describe(RunLog& log, const Flags& f, const Clip& model, const DataSource& data) {
  log.line(fmt::format(
      "model {}: {} parameters, images {} px, vocabulary {}, context {}; {} threads", f.model,
      model.parameter_count(), model.config().image_size(), model.config().text.vocab_size,
      model.config().text.context_length, num_threads()));
  if (!data.skipped.empty()) {
    log.line(fmt::format("{} pictures have no text and are left out, the first is {}",
                         data.skipped.size(), data.skipped[0]));
  }
}

int run(const Flags& given) {
  Flags f = given;
  apply_preset(f);
  apply_flags(f);
  const std::string folder = (std::filesystem::path(f.logs) / f.name).string();
  const std::string checkpoint = resume_point(f, folder);

  ModelConfig config = preset(f.model);
  apply_model(f, config);
  const DataSource data =
      open_training_data(f.train_data, f.columns, config.preprocess, f.limits, f.train.seed);
  const Tokenizer tokenizer = make_tokenizer(f, data.captions, config.text.vocab_size);
  config.text.vocab_size = tokenizer.vocab_size();
  const auto settings = parameters(f, config);
  if (!checkpoint.empty()) check_same_parameters(folder + "/params.json", settings);

  RunLog log(folder, !checkpoint.empty());
  if (checkpoint.empty()) write_file_atomically(folder + "/params.json", settings.dump(2) + '\n');
  Clip model(config);
  model.initialize(f.train.seed);
  describe(log, f, model, data);
  Trainer trainer(model, tokenizer, *data.dataset, f.train, log);
  if (!checkpoint.empty()) trainer.resume(checkpoint);
  if (!trainer.run()) log.line("continue with the same flags and --resume latest");
  return 0;
}

void declare_data(Command command, Flags& f) {
  command
      .option(
          "--train-data", f.train_data,
          "fashion, a .tsv or .csv table, or a folder of pictures with .txt captions beside them")
      .option("--csv-separator", f.separator, "of tables; a tab by default")
      .option("--csv-img-key", f.columns.image_key, "column of picture paths")
      .option("--csv-caption-key", f.columns.caption_key, "column of captions")
      .option("--max-image-pixels", f.limits.max_pixels, "refuse larger pictures", kAtLeastOne)
      .option("--max-bad-fraction", f.train.max_bad_fraction,
              "stop when more samples than this are damaged or missing", kFraction)
      .choice("--training-crop", f.training_crop,
              "resized: 90 to 100 % of the picture, stretched, as open_clip; square: as the paper",
              {"resized", "square"})
      .option("--workers", f.train.workers, "threads that prepare batches; 0: none", {0, 256})
      .option("--vocab", f.vocab,
              "merges file of a tokenizer (default: train one on the captions)");
}

void declare_optimizer(Command command, Flags& f) {
  command.option("--batch-size", f.batch_size, "pairs per step (default 64)", kAtLeastOne)
      .option("--epochs", f.epochs, "passes over the data (default 32)", kAtLeastOne)
      .option("--max-steps", f.max_steps, "stop after this many steps", kAtLeastOne)
      .option("--lr", f.lr, "peak learning rate (default 5e-4)", kNotNegative)
      .option("--warmup", f.warmup,
              "steps of linear warm-up (default: a tenth of the run, at most 2000)", kNotNegative)
      .option("--wd", f.wd, "weight decay (default 0.2)", kNotNegative)
      .option("--beta1", f.train.adamw.beta1, "of AdamW", kFraction)
      .option("--beta2", f.beta2, "of AdamW (default 0.98; ResNets 0.999)", kFraction)
      .option("--eps", f.eps, "of AdamW (default 1e-6; ResNets 1e-8)", kNotNegative)
      .option("--grad-clip-norm", f.clip,
              "scale gradients down to this norm (default: no clipping)", kNotNegative);
}

void declare_run(Command command, Flags& f) {
  command.option("--seed", f.train.seed, "of parameters, order and augmentation")
      .option("--logs", f.logs, "folder of all runs")
      .option("--name", f.name, "of this run; its folder is <logs>/<name>")
      .option("--resume", f.resume, "\"latest\", or the folder of a checkpoint")
      .option("--save-frequency", f.train.save_every, "epochs between checkpoints", kAtLeastOne)
      .option("--keep", f.train.keep, "checkpoints kept", kAtLeastOne)
      .option("--log-every-n-steps", f.train.log_every, "steps between lines of the log",
              kAtLeastOne)
      .threads();
}

void declare(Command command, Flags& flags) {
  command
      .option("--preset", flags.preset,
              "fashion: model, data and settings of the demo; other flags win over it")
      .option("--model", flags.model, "architecture: tiny, small, ViT-B-32, … (see diptych info)");
  declare_data(command, flags);
  declare_optimizer(command, flags);
  declare_run(command, flags);
}

}  // namespace

void add_train(Commands& commands) {
  commands.add("train", "train a CLIP from scratch", declare, run);
}

}  // namespace diptych::cli
