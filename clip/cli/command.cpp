// clip/cli/command.cpp — sub-commands and flags in CLI11's terms.
#include "clip/cli/command.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <optional>

#include "clip/weights/vocabulary.h"
#include "tensor/parallel.h"

namespace diptych::cli {
namespace {

template <class T>
constexpr bool kIsOptional = false;
template <class T>
constexpr bool kIsOptional<std::optional<T>> = true;

template <class T>
CLI::Option* add_to(CLI::App* app, const std::string& name, T& value, const std::string& help) {
  CLI::Option* option = app->add_option(name, value, help);
  if constexpr (!kIsOptional<T> && !std::is_same_v<T, std::vector<std::string>>) {
    if (std::string shown = fmt::format("{}", value); !shown.empty() && shown != "\t")
      option->default_str(shown);
  }
  if constexpr (!std::is_same_v<T, std::vector<std::string>>) option->take_last();  // as argparse
  return option;
}

}  // namespace

template <class T>
Command& Command::option(const std::string& name, T& value, const std::string& help,
                         Bounds bounds) {
  CLI::Option* option = add_to(app_, name, value, help);
  if (bounds.low > Bounds().low || bounds.high < Bounds().high) {
    option->check(CLI::Range(bounds.low, bounds.high));
    option->type_name("");
  }
  return *this;
}

template <class T>
Command& Command::required(const std::string& name, T& value, const std::string& help) {
  add_to(app_, name, value, help)->required();
  return *this;
}

template Command& Command::option(const std::string&, std::string&, const std::string&, Bounds);
template Command& Command::option(const std::string&, int&, const std::string&, Bounds);
template Command& Command::option(const std::string&, int64_t&, const std::string&, Bounds);
template Command& Command::option(const std::string&, uint64_t&, const std::string&, Bounds);
template Command& Command::option(const std::string&, double&, const std::string&, Bounds);
template Command& Command::option(const std::string&, std::optional<int64_t>&, const std::string&,
                                  Bounds);
template Command& Command::option(const std::string&, std::optional<double>&, const std::string&,
                                  Bounds);
template Command& Command::option(const std::string&, std::vector<std::string>&, const std::string&,
                                  Bounds);
template Command& Command::required(const std::string&, std::string&, const std::string&);
template Command& Command::required(const std::string&, std::vector<std::string>&,
                                    const std::string&);

Command& Command::flag(const std::string& name, bool& value, const std::string& help) {
  app_->add_flag(name, value, help);
  return *this;
}

Command& Command::choice(const std::string& name, std::string& value, const std::string& help,
                         const std::vector<std::string>& choices) {
  add_to(app_, name, value, help)->check(CLI::IsMember(choices));
  return *this;
}

Command& Command::threads() {
  app_->add_option_function<int>(
          "--threads", [](int n) { set_num_threads(n); }, "to compute with (default: all cores)")
      ->check(CLI::Range(1, 1024));
  return *this;
}

Command Commands::begin(const std::string& name, const std::string& help,
                        std::function<int()> run) {
  CLI::App* command = app_.add_subcommand(name, help);
  command->callback([this, run = std::move(run)] { chosen_ = run; });
  return Command(*command);
}

void ModelFlags::declare(Command command) {
  command.required("--model", model,
                   "a model file (.safetensors, or OpenAI's .pt), the folder of a run such as "
                   "logs/demo, or of a Hugging Face or open_clip repository");
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
      .option("--sha256", sha256, "refuse the file unless it has this hash")
      .option(
          "--vocab", vocab,
          "merges file of the tokenizer (default: the model's own; OpenAI's models: where `make "
          "vocab` puts it)");
}

LoadedModel ModelFlags::open() const {
  LoadOptions options{{}, image_size, sha256, config, vision_heads, text_heads};
  if (!activation.empty()) options.activation = nn::activation_from(activation);
  LoadedModel loaded = load_model(model, options);
  if (!loaded.notes.empty()) {
    fmt::print(stderr, "'{}' carries no configuration of ours; what is known about it:\n{}",
               loaded.path, loaded.notes);
  }
  std::string path = vocab;
  const bool needs_openai =
      !loaded.tokenizer && loaded.model->config().text.vocab_size == kOpenAiVocabulary;
  if (path.empty() && needs_openai) path = find_vocabulary(loaded.path);
  if (!path.empty()) loaded.tokenizer = Tokenizer::load(path);
  return loaded;
}

}  // namespace diptych::cli
