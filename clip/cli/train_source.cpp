// clip/cli/train_source.cpp — models from presets, files and weights; vocabularies for them.
#include "clip/cli/train_source.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "clip/console.h"
#include "clip/weights/check.h"
#include "clip/weights/logit_bias.h"
#include "clip/weights/model_spec.h"
#include "clip/weights/run_folder.h"
#include "clip/weights/vocabulary.h"
#include "tensor/io/file.h"

namespace diptych::cli {
namespace {

using Json = nlohmann::ordered_json;

// Whether the run's folder holds a checkpoint, whose weights take the place of all others.
bool goes_on(const TrainFlags& f) {
  return !f.resume.empty() && (f.resume != "latest" || !checkpoints(f.folder()).empty());
}

// The first value that differs, as a sentence; empty if none does.
std::string difference(const ModelConfig& wanted, const ModelConfig& found) {
  const Json a = Json::parse(to_json(wanted)).flatten(), b = Json::parse(to_json(found)).flatten();
  for (const auto& [key, value] : a.items()) {
    const auto it = b.find(key);
    if (it == b.end() || *it != value)
      return key.substr(1) + " is " + value.dump() + " there and " +
             (it == b.end() ? "not set" : it->dump()) + " in the file";
  }
  return {};
}

void check_architecture(const TrainFlags& f, const Clip& found) {
  if (f.model.empty()) return;
  ModelConfig wanted = model_from(f.model, f.changes);
  wanted.text.vocab_size = found.config().text.vocab_size;  // that of the words it learned
  wanted.logit_bias = found.config().logit_bias;            // choose_loss() sees to that
  try {
    check_sizes(wanted, found.state_dict());
  } catch (const Error& error) {
    fail("train: '", f.source.model, "' does not fit --model ", f.model, ": ", error.what(),
         "; leave --model out");
  }
  ModelConfig like = wanted;  // pictures are prepared as the weights were trained
  like.preprocess = found.config().preprocess;
  const std::string other = difference(like, found.config());
  check(other.empty(), "train: '", f.source.model, "' is another model than --model ", f.model,
        ": ", other, "; leave --model out");
}

void take(LoadedModel loaded, TrainSource& source) {
  loaded.words();  // without it there is nothing to train with
  source.config = loaded.model->config();
  source.weights = loaded.model->state_dict();
  source.pretrained = fingerprint_of(source.weights);
  source.tokenizer = std::move(loaded.tokenizer);
}

// Weights for the other loss get its bias, or lose it; which is told.
void choose_loss(const TrainFlags& f, TrainSource& source) {
  const bool sigmoid = f.loss.empty() ? source.config.logit_bias : f.loss == "sigmoid";
  if (sigmoid == source.config.logit_bias) return;
  source.config.logit_bias = sigmoid;
  if (source.weights.empty()) return;
  set_logit_bias(source.weights, sigmoid ? std::optional(kFirstLogitBias) : std::nullopt);
  tell(fmt::format("the weights were made for the other loss: {}\n",
                   sigmoid ? fmt::format("a bias of {} joins them", kFirstLogitBias)
                           : "their bias is left out"));
}

// What the checkpoint was begun with is what its run tells, and flags about it must be the run's.
void check_source_flags(const GivenFlags& now, const GivenFlags& kept) {
  for (const char* flag : {"--model", "--set", "--pretrained", "--image-size", "--sha256",
                           "--activation", "--config", "--vision-heads", "--text-heads"}) {
    const auto given = now.find(flag), was = kept.find(flag);
    if (given == now.end() || (was != kept.end() && was->second == given->second)) continue;
    fail("resume: ", flag,
         " is not what the run was begun with; leave it out, or begin a new run: "
         "leave --resume out");
  }
}

void take_from_run(const RunParams& run, TrainSource& source) {
  check(run.model.has_value(), "resume: '", run.path, "' does not tell the model; it is damaged");
  source.config = *run.model;
  source.pretrained = run.pretrained;
}

// A model of OpenAI's size gets OpenAI's vocabulary if it is there; empty: one of its own.
std::string vocabulary_path(const TrainFlags& f, int64_t vocab_size) {
  return f.vocab().empty() && vocab_size == kOpenAiVocabulary ? find_vocabulary() : f.vocab();
}

Tokenizer checkpoint_tokenizer(const TrainFlags& f, const Checkpoint& from) {
  Tokenizer own = from.tokenizer();
  check(f.vocab().empty() || Tokenizer::load(f.vocab()).merges_text() == own.merges_text(),
        "resume: vocabulary changed: '", f.vocab(), "' is not the one of '", from.folder,
        "'; leave --vocab out");
  return own;
}

Tokenizer learned(const Texts& captions, int64_t vocab_size) {
  return Tokenizer::train(captions, std::max(vocab_size, Tokenizer::kSmallest));
}

}  // namespace

TrainSource open_source(const TrainFlags& f, const std::optional<RunParams>& so_far) {
  TrainSource source;
  const bool tells_model = so_far && !so_far->flags.empty();  // it does where it tells its flags
  if (goes_on(f) && tells_model) {
    check_source_flags(f.kept(), so_far->flags);
    take_from_run(*so_far, source);
  } else if (f.source.model.empty()) {
    source.config = model_from(f.model, f.changes);
  } else {
    check_usage(
        f.changes.empty() || !f.model.empty(),
        "train: --set changes the architecture that --model names; --pretrained has its own");
    LoadedModel loaded = f.source.open();
    check_architecture(f, *loaded.model);
    take(std::move(loaded), source);
  }
  choose_loss(f, source);
  if (!f.training_crop.empty())
    source.config.preprocess.training_crop = training_crop_from(f.training_crop);
  return source;
}

// The rows of an embedding were trained for its own words.
void complete(TrainSource& source, const TrainFlags& f, const Checkpoint* from,
              const Texts& captions) {
  if (from) {
    source.tokenizer = checkpoint_tokenizer(f, *from);
  } else if (!source.tokenizer) {
    source.vocabulary_file = vocabulary_path(f, source.config.text.vocab_size);
    source.tokenizer = source.vocabulary_file.empty()
                           ? learned(captions, source.config.text.vocab_size)
                           : Tokenizer::load(source.vocabulary_file);
  }
  const int64_t words = source.tokenizer->vocab_size();
  int64_t& asked = source.config.text.vocab_size;
  const bool set = f.given.contains("--set") || is_config_file(f.model);
  if (set && asked != words && source.pretrained.empty() && !from)
    tell(
        fmt::format("the vocabulary has {} tokens, not the {} asked for: that is what the captions "
                    "give\n",
                    words, asked));
  if (source.pretrained.empty()) asked = words;
}

void fill(TrainSource& source, uint64_t seed, Clip& model) {
  if (source.weights.empty()) return model.initialize(seed);
  model.load_state(source.weights);
  source.weights.clear();
}

}  // namespace diptych::cli
