// clip/cli/train.cpp — `diptych train`. Flags keep open_clip's names and meaning where it has them.
#include "clip/train/train.h"

#include <fmt/core.h>

#include <filesystem>
#include <optional>

#include "clip/cli/command.h"
#include "clip/cli/train_notes.h"
#include "clip/cli/train_precision.h"
#include "clip/console.h"
#include "clip/data_source.h"
#include "clip/train/run_settings.h"
#include "clip/weights/run_folder.h"
#include "clip/weights/vocabulary.h"
#include "tensor/io/file.h"
#include "tensor/parallel.h"

namespace diptych::cli {
namespace {

struct Flags : DeviceFlag {
  TrainPrecisionFlags types;
  std::string on_nan = diptych::name(OnNan::stop);
  std::string preset, model, train_data, vocab, logs = "./logs", name, resume, separator = "\t";
  std::string training_crop = diptych::name(TrainingCrop::resized);
  PairOptions columns;
  ImageLimits limits;
  TrainConfig train;
  // Given on the command line, these win over the preset.
  std::optional<int64_t> batch_size, epochs, max_steps, warmup;
  std::optional<double> lr, wd, clip, beta2, eps;
};

// With beta 1 a moment never learns what the gradients are; without eps a parameter that has had no
// gradient becomes 0 / 0. Both in f32, where less than these bounds is 1 and 0.
constexpr Bounds kMoment{0, 0.999999}, kEpsilon{1e-30, 1e15};

// Chosen on the validation split; see the README for how.
void apply_preset(Flags& f) {
  if (f.preset.empty()) return;
  check_usage(f.preset == "fashion", "train: there is no preset '", f.preset, "'; known: fashion");
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
  f.train.device = f.device();
  f.train.on_nan = on_nan_from(f.on_nan);
  f.train.batch_size = f.batch_size.value_or(f.train.batch_size);
  f.train.epochs = f.epochs.value_or(f.train.epochs);
  f.train.max_steps = f.max_steps.value_or(f.train.max_steps);
  f.train.warmup = f.warmup.value_or(f.train.warmup);
  f.train.lr = f.lr.value_or(f.train.lr);
  f.train.adamw.weight_decay = f.wd.value_or(f.train.adamw.weight_decay);
  f.train.grad_clip_norm = f.clip.value_or(f.train.grad_clip_norm);
  check_usage(!f.model.empty() && !f.train_data.empty(),
              "train: give --preset, or --model and --train-data");
  check_usage(f.separator.size() == 1 || f.separator == "\\t",
              "train: --csv-separator must be one character");
  f.columns.separator = f.separator == "\\t" ? '\t' : f.separator[0];
  if (f.name.empty())
    f.name = fmt::format("{}-lr_{}-b_{}", f.model, f.train.lr, f.train.batch_size);
}

// The checkpoint to go on from; nothing for a new run, which one without any checkpoint is too.
std::optional<Checkpoint> resume_point(const std::string& resume, RunLog& log) {
  if (resume.empty()) return std::nullopt;
  const bool latest = resume == "latest";
  const std::string run = latest ? log.folder() : resume;
  if (checkpoints(run).empty()) {
    if (!latest) return read_checkpoint(resume);
    log.line(fmt::format("'{}' holds no checkpoint yet: beginning with step 1", run));
    return std::nullopt;
  }
  const std::string newest = newest_checkpoint(run);
  check(!newest.empty(), "resume: '", run,
        "' holds no intact checkpoint; move its folder checkpoints away to begin the run again");
  return read_checkpoint(newest);
}

// A model of OpenAI's size gets OpenAI's vocabulary if it is there; empty: one of its own.
std::string vocabulary_path(const Flags& f, int64_t vocab_size) {
  return f.vocab.empty() && vocab_size == kOpenAiVocabulary ? find_vocabulary() : f.vocab;
}

// The rows of the embedding were trained for the checkpoint's words.
Tokenizer checkpoint_tokenizer(const Flags& f, const Checkpoint& from) {
  Tokenizer own = from.tokenizer();
  check(f.vocab.empty() || Tokenizer::load(f.vocab).merges_text() == own.merges_text(),
        "resume: vocabulary changed: '", f.vocab, "' is not the one of '", from.folder,
        "'; leave --vocab out");
  return own;
}

Tokenizer make_tokenizer(const Flags& f, const Texts& captions, int64_t vocab_size) {
  const std::string path = vocabulary_path(f, vocab_size);
  return path.empty() ? Tokenizer::train(captions, std::max(vocab_size, Tokenizer::kSmallest))
                      : Tokenizer::load(path);
}

RunSettings settings_of(const Flags& f, const ModelConfig& config, const DataSource& data,
                        const Tokenizer& tokenizer) {
  return {f.train_data,
          vocabulary_path(f, config.text.vocab_size),
          data.dataset->size(),
          fingerprint_of(data.pictures),
          fingerprint_of(data.captions),
          fingerprint_of(tokenizer.merges_text()),
          f.columns,
          f.limits,
          f.train,
          config};
}

// What is converted is told by the checkpoint: params.json may be of an attempt that saved nothing.
void go_on(RunLog& log, const std::string& params, const RunSettings& settings,
           const Checkpoint& from) {
  check_same_run(params, settings);
  const PrecisionConfig& now = settings.train.precision;
  const std::string what = conversion(from.precision(), now);
  const std::string notes[] = {what.empty() ? "" : "resume: " + what,
                               version_note(version_of_run(params))};
  for (const std::string& note : notes)
    if (!note.empty()) log.line(note);
  if (precision_of_run(params) != now) write_file_atomically(params, to_json(settings));
}

// Writes params.json, or refuses to go on under other settings than it tells.
void begin(RunLog& log, const RunSettings& settings, const Checkpoint* from) {
  const std::string path = log.folder() + "/params.json";
  if (from) return go_on(log, path, settings, *from);
  const bool again = std::filesystem::exists(path);
  for (const char* record : {"/metrics.jsonl", "/bad_samples.tsv"})
    check(again || !std::filesystem::exists(log.folder() + record), "train: '", log.folder(),
          record,
          "' is there without a params.json, so it is not of a run that may begin again; "
          "choose another --name");
  if (again)
    log.line("an earlier attempt left no checkpoint: metrics.jsonl and bad_samples.tsv begin anew");
  write_file_atomically(path, to_json(settings));
}

// Radford et al. (2021), tables 18 and 19: ResNets were trained with other moments.
void apply_model(Flags& f, ModelConfig& config) {
  config.preprocess.training_crop = training_crop_from(f.training_crop);
  f.train.adamw.beta2 = f.beta2.value_or(config.resnet() ? 0.999 : 0.98);
  f.train.adamw.eps = f.eps.value_or(config.resnet() ? 1e-8 : 1e-6);
}

void describe(RunLog& log, const Flags& f, const Clip& model, const DataSource& data,
              const Tokenizer& words) {
  log.line(fmt::format(
      "model {}: {} parameters, images {} px, vocabulary {}, context {}; {}, {} threads", f.model,
      model.parameter_count(), model.config().image_size(), model.config().text.vocab_size,
      model.config().text.context_length, f.device_name, num_threads()));
  const std::string notes[] = {
      left_out_note(data),
      cut_captions_note(f.model, words, data.captions, model.config().text.context_length)};
  for (const std::string& note : notes)
    if (!note.empty()) log.line(note);
}

// Pictures without a caption, captions without a picture, and what cannot be read.
void check_left_out(const Flags& f, const DataSource& data) {
  const int64_t pairs = data.dataset->size();
  check_accounting("train",
                   {pairs + static_cast<int64_t>(data.left_out.size()), pairs, data.left_out},
                   f.train.max_bad_fraction);
}

// A run goes on in the precision that it has had, unless a flag says otherwise.
void apply_precision(Flags& f, const std::string& folder) {
  PrecisionConfig so_far;
  const std::string params = folder + "/params.json";
  if (!f.resume.empty() && is_there(params)) so_far = precision_of_run(params);
  f.train.precision = f.types.config(so_far);
}

int run(const Flags& given) {
  if (given.types.explain_precision) {
    print(explain(given.types.config()));
    return 0;
  }
  Signals::ignore_save_requests();
  given.require();
  Flags f = given;
  apply_preset(f);
  apply_flags(f);
  const std::string folder = (std::filesystem::path(f.logs) / f.name).string();
  ModelConfig config = preset(f.model);
  apply_model(f, config);
  apply_precision(f, folder);
  const DataSource data =
      open_training_data(f.train_data, f.columns, config.preprocess, f.limits, f.train.seed);
  check_left_out(f, data);
  f.train.left_out = static_cast<int64_t>(data.left_out.size());
  f.train = resolved(f.train, data.dataset->size());

  RunLog log(folder, !f.resume.empty());
  std::optional<Checkpoint> from = resume_point(f.resume, log);
  const Tokenizer tokenizer = from ? checkpoint_tokenizer(f, *from)
                                   : make_tokenizer(f, data.captions, config.text.vocab_size);
  config.text.vocab_size = tokenizer.vocab_size();
  const RunSettings settings = settings_of(f, config, data, tokenizer);
  begin(log, settings, from ? &*from : nullptr);
  Clip model(config);
  model.initialize(f.train.seed);
  model.to(f.train.device);
  describe(log, f, model, data, tokenizer);
  Trainer trainer(model, tokenizer, *data.dataset, f.train, log);
  trainer.set_settings(fingerprint(settings));
  if (from) trainer.resume(*from);
  from.reset();  // as large as the model with its moments
  const int stopped_by = trainer.run();
  if (stopped_by) return 128 + stopped_by;
  return log.losses().empty() ? 0 : 1;
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
      .option("--beta1", f.train.adamw.beta1, "of AdamW", kMoment)
      .option("--beta2", f.beta2, "of AdamW (default 0.98; ResNets 0.999)", kMoment)
      .option("--eps", f.eps, "of AdamW (default 1e-6; ResNets 1e-8)", kEpsilon)
      .option("--grad-clip-norm", f.clip,
              "scale gradients down to this norm (default: no clipping)", kNotNegative);
}

void declare_run(Command command, Flags& f) {
  command.option("--seed", f.train.seed, "of parameters, order and augmentation")
      .option("--logs", f.logs, "folder of all runs")
      .option("--name", f.name, "of this run; its folder is <logs>/<name>")
      .option("--resume", f.resume,
              "\"latest\" (the beginning, if nothing is saved yet), or the folder of a checkpoint")
      .option("--save-frequency", f.train.save_every, "epochs between checkpoints", kAtLeastOne)
      .option("--keep", f.train.keep, "checkpoints kept", kAtLeastOne)
      .option("--log-every-n-steps", f.train.log_every, "steps between lines of the log",
              kAtLeastOne)
      .choice(
          "--on-nan", f.on_nan,
          "what a loss or gradient that is not finite leads to: stop; skip the step; rollback to "
          "the newest checkpoint",
          {"stop", "skip", "rollback"})
      .device(f)
      .threads();
  f.types.declare(command);
}

void declare(Command command, Flags& flags) {
  command
      .option("--preset", flags.preset,
              "fashion: model, data and settings of the demo; other flags win over it")
      .option("--model", flags.model,
              "architecture: small for pictures of one's own, ViT-S-32, ViT-B-32, … (see diptych "
              "info); tiny for benchmarks alone");
  declare_data(command, flags);
  declare_optimizer(command, flags);
  declare_run(command, flags);
}

}  // namespace

void add_train(Commands& commands) {
  commands.add("train", "train a CLIP from scratch", declare, run);
}

}  // namespace diptych::cli
