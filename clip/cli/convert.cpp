// clip/cli/convert.cpp — `diptych convert`: models between libraries.
#include <fmt/core.h>

#include "clip/cli/command.h"
#include "clip/weights/export.h"

namespace diptych::cli {
namespace {

struct Flags : ModelFlags {
  std::string out, to = "diptych";
};

int run(const Flags& flags) {
  const LoadedModel loaded = flags.open();
  const Clip& model = *loaded.model;
  if (flags.to == "open_clip") {
    export_open_clip(flags.out, model);
  } else if (flags.to == "huggingface") {
    export_hugging_face(flags.out, model);
  } else {
    save_model(flags.out, model, loaded.tokenizer ? &*loaded.tokenizer : nullptr);
  }
  fmt::print("{}: {} parameters{}\n", flags.out, model.parameter_count(),
             flags.to == "diptych" && !loaded.tokenizer ? ", no vocabulary" : "");
  return 0;
}

void declare(Command command, Flags& flags) {
  command.required("in", flags.model, "a model file or folder of any kind")
      .required("out", flags.out, "a .safetensors file; for other libraries a folder")
      .choice("--to", flags.to, "whose names and configuration",
              {"diptych", "open_clip", "huggingface"});
  flags.declare_options(command);
}

}  // namespace

void add_convert(Commands& commands) {
  commands.add("convert", "write a model for this or another library", declare, run);
}

}  // namespace diptych::cli
