// clip/cli/convert.cpp — `diptych convert`: models between libraries.
#include <fmt/core.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "clip/cli/command.h"
#include "clip/console.h"
#include "clip/weights/export.h"
#include "clip/weights/vocabulary.h"
#include "tensor/io/file.h"

namespace diptych::cli {
namespace {

struct Flags : ModelFlags {
  std::string out, to = "diptych";
  bool json = false;
};

/// What a vocabulary of the model's own becomes; nothing to say of OpenAI's, which everyone has.
void tell_vocabulary(const Flags& flags, const Tokenizer* words) {
  const bool own = words && words->vocab_size() != kOpenAiVocabulary;
  if (flags.to == "open_clip" && own)
    tell(
        "convert: the model's own vocabulary stays behind, open_clip's configuration has no place "
        "for it: there its texts would get other ids. --to huggingface takes it along\n");
  if (flags.to != "open_clip" && !words)
    tell(fmt::format("convert: no vocabulary was written, '{}' has none\n", flags.model));
}

// What reads it judges by the name; and a checkpoint is what its manifest says.
void check_out(const Flags& flags) {
  const std::filesystem::path out = flags.out;
  check_usage(flags.to != "diptych" || out.extension() == ".safetensors", "convert: '", flags.out,
              "' must end in .safetensors, which is what is written");
  check(flags.to != "diptych" || !is_there((out.parent_path() / "manifest.json").string()),
        "convert: '", flags.out, "' lies in a checkpoint, which this would damage");
}

int run(const Flags& flags) {
  check_out(flags);
  const LoadedModel loaded = flags.open();
  const Clip& model = *loaded.model;
  const Tokenizer* words = loaded.tokenizer ? &*loaded.tokenizer : nullptr;
  if (flags.to == "open_clip") {
    export_open_clip(flags.out, model);
  } else if (flags.to == "huggingface") {
    export_hugging_face(flags.out, model, words);
  } else {
    save_model(flags.out, model, words);
  }
  tell_vocabulary(flags, words);
  if (flags.json)
    print_json(nlohmann::ordered_json{{"out", flags.out},
                                      {"to", flags.to},
                                      {"parameters", model.parameter_count()},
                                      {"vocabulary", words != nullptr && flags.to != "open_clip"}});
  else
    print(fmt::format("{}: {} parameters\n", flags.out, model.parameter_count()));
  return 0;
}

void declare(Command command, Flags& flags) {
  command.required("in", flags.model, "a model file or folder of any kind")
      .required("out", flags.out, "a .safetensors file; for other libraries a folder")
      .choice("--to", flags.to, "whose names and configuration",
              {"diptych", "open_clip", "huggingface"})
      .json(flags.json);
  flags.declare_options(command);
}

}  // namespace

void add_convert(Commands& commands) {
  commands.add("convert", "write a model for this or another library", declare, run);
}

}  // namespace diptych::cli
