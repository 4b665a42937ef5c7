// clip/cli/preprocess.cpp — `diptych preprocess`: the exact pixels a model would see.
#include <fmt/core.h>

#include <optional>

#include "clip/cli/account.h"
#include "clip/cli/command.h"
#include "clip/console.h"
#include "data/picture_set.h"
#include "tensor/io/npy.h"

namespace diptych::cli {
namespace {

struct Flags : ModelFlags {
  std::optional<int64_t> size;
  std::vector<std::string> images;
  std::string out, mode;
  double max_bad_fraction = 0;
};

// The model's, or OpenAI's but for the flags.
Preprocess settings_of(const Flags& flags) {
  if (!flags.model.empty()) {
    check_usage(!flags.size && flags.mode.empty(),
                "preprocess: --size and --mode are the model's; leave them out, or --model");
    return flags.open().model->config().preprocess;
  }
  Preprocess settings;
  settings.size = flags.size.value_or(settings.size);
  if (!flags.mode.empty()) settings.resize_mode = resize_mode_from(flags.mode);
  return settings;
}

int run(const Flags& flags) {
  const PictureSet set =
      load_pictures("preprocess", flags.images, settings_of(flags), flags.max_bad_fraction);
  tell(left_out_line(set.accounting));
  save_npy(flags.out, set.pixels);
  std::string shape;
  append_text(shape, set.pixels.shape());
  tell(fmt::format("{}: f32 {}\n", flags.out, shape));
  return 0;
}

void declare(Command command, Flags& flags) {
  command.required("images", flags.images, "PNG or JPEG files")
      .required("--out", flags.out, ".npy file")
      .option("--model", flags.model, "whose pixels (default: those of OpenAI's models)")
      .option("--size", flags.size, "R, pixels, without --model (default 224)", {1, 4096})
      .choice("--mode", flags.mode,
              "how a picture becomes square, without --model (default: shortest)",
              {"shortest", "longest", "squash"})
      .option("--max-bad-fraction", flags.max_bad_fraction,
              "of the pictures that may be left out because they cannot be read", kFraction);
  flags.declare_options(command);
}

}  // namespace

void add_preprocess(Commands& commands) {
  commands.add("preprocess", "write the pixels a model would see as an (N, 3, R, R) .npy file",
               declare, run);
}

}  // namespace diptych::cli
