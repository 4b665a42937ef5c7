// clip/cli/preprocess.cpp — `diptych preprocess`: the exact pixels a model would see.
#include <fmt/core.h>

#include "clip/cli/command.h"
#include "data/image/transform.h"
#include "tensor/io/npy.h"

namespace diptych::cli {
namespace {

struct Flags {
  int64_t size = 224;
  std::vector<std::string> images;
  std::string out, mode = "shortest";
};

int run(const Flags& flags) {
  Preprocess settings;
  settings.size = flags.size;
  settings.resize_mode = resize_mode_from(flags.mode);
  const Tensor pixels = load_pixels(flags.images, settings);
  save_npy(flags.out, pixels);
  std::string shape;
  append_text(shape, pixels.shape());
  fmt::print(stderr, "{}: f32 {}\n", flags.out, shape);
  return 0;
}

void declare(Command command, Flags& flags) {
  command.required("images", flags.images, "PNG or JPEG files")
      .required("--out", flags.out, ".npy file")
      .option("--size", flags.size, "R, pixels", {1, 4096})
      .choice("--mode", flags.mode, "how a picture becomes square",
              {"shortest", "longest", "squash"});
}

}  // namespace

void add_preprocess(Commands& commands) {
  commands.add("preprocess", "write the pixels a model would see as an (N, 3, R, R) .npy file",
               declare, run);
}

}  // namespace diptych::cli
