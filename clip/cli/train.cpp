// clip/cli/train.cpp — `diptych train`: from flags to a run.
#include "clip/train/train.h"

#include <fmt/core.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "clip/cli/command.h"
#include "clip/cli/resume_flags.h"
#include "clip/cli/train_flags.h"
#include "clip/cli/train_notes.h"
#include "clip/cli/train_source.h"
#include "clip/console.h"
#include "clip/data_source.h"
#include "clip/train/run_settings.h"
#include "clip/weights/run_folder.h"
#include "clip/weights/vocabulary.h"
#include "tensor/io/file.h"
#include "tensor/io/machine.h"
#include "tensor/parallel.h"

namespace diptych::cli {
namespace {

using Flags = TrainFlags;

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

RunSettings settings_of(const Flags& f, const TrainSource& source, const DataSource& data) {
  RunSettings s;
  s.train_data = f.train_data;
  s.val_data = f.val_data;
  s.vocabulary_file = source.vocabulary_file;
  s.pretrained_from = f.source.model;
  s.flags = f.kept();
  s.report_to = f.report_to;
  s.pairs = data.dataset->size();
  s.pictures = fingerprint_of(data.pictures);
  s.captions = fingerprint_of(data.captions);
  s.vocabulary = fingerprint_of(source.tokenizer->merges_text());
  s.pretrained = source.pretrained;
  s.columns = f.columns;
  s.limits = f.limits;
  s.train = f.train;
  s.model = source.config;
  return s;
}

// What is converted is told by the checkpoint: params.json may be of an attempt that saved nothing.
void go_on(RunLog& log, const RunParams& begun, const RunSettings& settings,
           const Checkpoint& from) {
  check_same_run(begun, settings);
  const PrecisionConfig& now = settings.train.precision;
  const std::string what = conversion(from.precision(), now);
  const std::string notes[] = {what.empty() ? "" : "resume: " + what, version_note(begun.version)};
  for (const std::string& note : notes)
    if (!note.empty()) log.line(note);
  if (begun.precision != now || begun.val_data != settings.val_data)
    write_file_atomically(begun.path, to_json(settings));
}

// Writes params.json, or refuses to go on under other settings than it tells.
void begin(RunLog& log, const RunSettings& settings, const Checkpoint* from,
           const std::optional<RunParams>& so_far) {
  const std::string path = log.folder() + "/params.json";
  if (from) return go_on(log, so_far ? *so_far : read_run_params(path), settings, *from);
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

void describe(RunLog& log, const Flags& f, const Clip& model, const DataSource& data,
              const Tokenizer& words) {
  log.line(fmt::format(
      "model {}: {} parameters, images {} px, vocabulary {}, context {}; {}, {} threads", f.what(),
      model.parameter_count(), model.config().image_size(), model.config().text.vocab_size,
      model.config().text.context_length, f.device_name, num_threads()));
  const std::string notes[] = {
      left_out_note(data), shared_pictures_note(f.train.positives, data),
      cut_captions_note(f.what(), words, data.captions, model.config().text.context_length)};
  for (const std::string& note : notes)
    if (!note.empty()) log.line(note);
  if (f.train.device != Device::cpu)
    log.line("whether a step fits in the device's memory shows in the first one");
  if (f.train.warmup >= f.train.max_steps)
    log.line(
        fmt::format("warning: the warm-up of {} steps is as long as the run, so its rate never "
                    "falls; a lower --warmup may be meant",
                    f.train.warmup));
}

// Pictures without a caption, captions without a picture, and what cannot be read.
void check_left_out(const Flags& f, const DataSource& data) {
  const int64_t pairs = data.dataset->size();
  check_accounting("train",
                   {pairs + static_cast<int64_t>(data.left_out.size()), pairs, data.left_out},
                   f.train.max_bad_fraction);
}

// What the run that is to go on was begun with.
std::optional<RunParams> begun_with(const Flags& f) {
  const std::string params = f.folder() + "/params.json";
  if (f.resume.empty() || !is_there(params)) return std::nullopt;
  return read_run_params(params);
}

std::optional<ValidationData> open_validation(const Flags& f, const ModelConfig& config,
                                              const DataSource& data) {
  if (f.val_data.empty()) return std::nullopt;
  ValidationData validation =
      open_validation_data(f.val_data, f.columns, config.preprocess, f.limits);
  check_pictures_there(validation, f.train.max_bad_fraction);
  const int64_t shared = shared_files(validation.pictures, data.files);
  check(shared == 0, "train: ", shared, " of ", validation.dataset->size(),
        " pictures of --val-data are in --train-data too, so validation would measure memory; take "
        "them out of one of the two");
  return validation;
}

// What only building the model would find, found before its folder is touched.
void check_buildable(const Flags& f, const ModelConfig& config) {
  const nn::ShapesOnly shapes_only;
  Clip model(config);
  f.locks.apply(model);
  pixel_table(config.preprocess);
  check(config.text.context_length >= 2, "train: a context of ", config.text.context_length,
        " tokens has no room for start and end of a text");
}

// Of a run that is validated on something else than before, the best so far says nothing.
bool validates_anew(const Flags& f, const RunParams& begun) {
  return !f.val_data.empty() && begun.val_data != f.val_data;
}

/// All that a run needs but its folder.
struct Prepared {
  Flags f;
  std::optional<RunParams> so_far;
  TrainSource source;
  DataSource data;
  std::optional<ValidationData> validation;
};

// What the run is to be is known before its folder is touched.
Prepared prepare(const Flags& given) {
  Prepared p{given, {}, {}, {}, {}};
  Flags& f = p.f;
  f.settle();
  check_own_run(f.resume, f.folder());
  p.so_far = begun_with(f);
  p.source = open_source(f, p.so_far);
  const ModelConfig& config = p.source.config;
  // It goes on in the precision that it has had, unless a flag says otherwise.
  f.train.precision = f.types.config(p.so_far ? p.so_far->precision : PrecisionConfig{});
  f.settle_for(config);
  check_buildable(f, config);
  p.data = open_training_data(f.train_data, f.columns, config.preprocess, f.limits, f.train.seed);
  check_left_out(f, p.data);
  p.validation = open_validation(f, config, p.data);
  f.train.left_out = static_cast<int64_t>(p.data.left_out.size());
  f.train = resolved(f.train, p.data.dataset->size());
  check_fits(config, f.train, usable_memory());
  return p;
}

void print_result(const RunLog& log, const TrainingState& state, int stopped_by) {
  nlohmann::ordered_json object{
      {"run", log.folder()},          {"checkpoint", checkpoint_path(log.folder(), state.step)},
      {"step", state.step},           {"samples", state.samples},
      {"skipped", state.skipped},     {"bad_samples", log.bad_samples().size()},
      {"truncated", state.truncated}, {"signal", stopped_by}};
  if (state.best_step >= 0) {
    object["best_step"] = state.best_step;
    object["best_score"] = state.best_score;
  }
  print_json(object);
}

int train(Prepared p) {
  const Flags& f = p.f;
  RunLog log(f.folder(), !f.resume.empty());
  if (f.report_to == "tensorboard") log.report_to_tensorboard();
  std::optional<Checkpoint> from = resume_point(f.resume, log);
  complete(p.source, f, from ? &*from : nullptr, p.data.captions);
  const RunSettings settings = settings_of(f, p.source, p.data);
  begin(log, settings, from ? &*from : nullptr, p.so_far);
  const bool anew = from && p.so_far && validates_anew(f, *p.so_far);
  Clip model(p.source.config);
  fill(p.source, f.train.seed, model);
  model.to(f.train.device);
  describe(log, f, model, p.data, *p.source.tokenizer);
  Trainer trainer(model, *p.source.tokenizer, *p.data.dataset, f.train, log);
  trainer.set_settings(fingerprint(settings));
  if (p.validation) {
    trainer.set_validation(*p.validation);
    const std::string note = empty_classes_note(*p.validation);
    if (!note.empty()) log.line(note);
  }
  if (from) trainer.resume(*from);
  if (anew) {
    trainer.begin_validation_anew();
    log.line("validation is on other data than before: what was best so far is forgotten");
  }
  from.reset();  // as large as the model with its moments
  const int stopped_by = trainer.run();
  if (f.json) print_result(log, trainer.state(), stopped_by);
  if (stopped_by) return 128 + stopped_by;
  return log.losses().empty() ? 0 : 1;
}

int run(const Flags& given) {
  if (given.types.explain_precision) {
    print(explain(given.types.config()));
    return 0;
  }
  Signals::ignore_save_requests();
  given.require();
  return train(prepare(given));
}

}  // namespace

void add_train(Commands& commands) {
  commands.add("train", "train a CLIP, from scratch or from weights", declare_train, run);
}

}  // namespace diptych::cli
