// clip/cli/model_flags.cpp — flags of every command that opens a model, and opening it.
#include <fmt/core.h>

#include "clip/cli/command.h"
#include "clip/console.h"
#include "clip/weights/vocabulary.h"

namespace diptych::cli {

void ModelFlags::declare(Command command) {
  command.required("--model", model,
                   "a model file (.safetensors, OpenAI's .pt, a .index.json of shards), the folder "
                   "of a run such as logs/demo, or one that open_clip or Hugging Face wrote");
  command.device(*this).precision(*this);
  declare_options(command);
}

void ModelFlags::declare_options(Command command) {
  command
      .choice("--activation", activation, "for files that do not say",
              {"quick_gelu", "gelu", "gelu_tanh"})
      .option("--config", config,
              "for files without: open_clip's or Hugging Face's JSON, or what `info --json` calls "
              "config")
      .option("--vision-heads", vision_heads, "for files without a configuration", {0, 1 << 20})
      .option("--text-heads", text_heads, "for files without a configuration", {0, 1 << 20})
      .option("--image-size", image_size, "resize the positions to pictures of this side",
              {0, 16384})
      .option("--sha256", sha256,
              "refuse the file unless it has this hash; of shards: that of `cat INDEX SHARDS`, in "
              "the order of their names")
      .option(
          "--vocab", vocab,
          "merges file of the tokenizer (default: the model's own; OpenAI's models: where `make "
          "vocab` puts it)");
}

bool ModelFlags::any() const {
  return !(vocab + activation + sha256 + config).empty() || image_size + vision_heads + text_heads;
}

namespace {

/// Other tokens would be read as if nothing were wrong.
void use_vocabulary(const std::string& path, LoadedModel& loaded) {
  Tokenizer given = Tokenizer::load(path);
  const int64_t known = loaded.model->config().text.vocab_size;
  check(!loaded.tokenizer || loaded.tokenizer->merges_text() == given.merges_text(),
        "vocabulary: '", path, "' is not the one that '", loaded.path,
        "' carries; leave --vocab out");
  check(loaded.tokenizer || given.vocab_size() == known, "vocabulary: '", path, "' has ",
        given.vocab_size(), " tokens, '", loaded.path, "' was made for ", known);
  loaded.tokenizer = std::move(given);
}

}  // namespace

LoadedModel ModelFlags::open(Towers needed) const {
  require();
  const PrecisionConfig types = precision();
  LoadOptions options{{}, image_size, sha256, config, vision_heads, text_heads, needed};
  if (!activation.empty()) options.activation = nn::activation_from(activation);
  LoadedModel loaded = load_model(model, options);
  if (!loaded.notes.empty()) {
    tell(fmt::format("'{}', what is known about it, and from where:\n{}", loaded.path,
                     loaded.notes));
  }
  std::string path = vocab;
  const ModelConfig& known = loaded.model->config();
  check(vocab.empty() || known.has_text(), "--vocab: '", loaded.path, "' has no text tower");
  const bool needs_openai =
      !loaded.tokenizer && known.has_text() && known.text.vocab_size == kOpenAiVocabulary;
  if (path.empty() && needs_openai) path = find_vocabulary(loaded.path);
  if (!path.empty()) use_vocabulary(path, loaded);
  loaded.model->to(device());
  loaded.model->use(types);
  return loaded;
}

}  // namespace diptych::cli
