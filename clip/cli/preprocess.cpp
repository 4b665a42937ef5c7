// clip/cli/preprocess.cpp — `diptych preprocess`: the exact pixels a model would see.
#include <fmt/core.h>

#include "clip/cli/account.h"
#include "clip/cli/command.h"
#include "clip/console.h"
#include "data/picture_set.h"
#include "tensor/io/npy.h"

namespace diptych::cli {
namespace {

struct Flags {
  int64_t size = 224;
  std::vector<std::string> images;
  std::string out, mode = "shortest";
  double max_bad_fraction = 0;
};

int run(const Flags& flags) {
  Preprocess settings;
  settings.size = flags.size;
  settings.resize_mode = resize_mode_from(flags.mode);
  const PictureSet set =
      load_pictures("preprocess", flags.images, settings, flags.max_bad_fraction);
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
      .option("--size", flags.size, "R, pixels", {1, 4096})
      .choice("--mode", flags.mode, "how a picture becomes square",
              {"shortest", "longest", "squash"})
      .option("--max-bad-fraction", flags.max_bad_fraction,
              "of the pictures that may be left out because they cannot be read", kFraction);
}

}  // namespace

void add_preprocess(Commands& commands) {
  commands.add("preprocess", "write the pixels a model would see as an (N, 3, R, R) .npy file",
               declare, run);
}

}  // namespace diptych::cli
