// clip/cli/embed.cpp — `diptych embed`: features of pictures or texts as an .npy file.
#include <fmt/core.h>

#include "clip/cli/command.h"
#include "clip/eval/zero_shot.h"
#include "data/image/transform.h"
#include "data/text/captions.h"
#include "tensor/io/file.h"
#include "tensor/io/npy.h"

namespace diptych::cli {
namespace {

struct Flags : ModelFlags {
  std::vector<std::string> images;
  std::string pixels, texts, tokens, out;
  bool normalize = false, truncate = false;
};

Tensor features(const Flags& flags, const LoadedModel& loaded) {
  const Clip& model = *loaded.model;
  if (!flags.images.empty())
    return encode_pixels(model, load_pixels(flags.images, model.config().preprocess));
  if (!flags.pixels.empty()) return encode_pixels(model, load_npy(flags.pixels));
  if (!flags.texts.empty()) {
    return encode_texts(model, loaded.words(), read_lines(flags.texts),
                        flags.truncate ? Overflow::truncate : Overflow::error);
  }
  const NoGrad no_grad;
  return model.encode_text(pack_padded(load_npy(flags.tokens), caption_end(model.config().text)));
}

int run(const Flags& flags) {
  const int sources =
      !flags.images.empty() + !flags.pixels.empty() + !flags.texts.empty() + !flags.tokens.empty();
  check(sources == 1, "embed: give exactly one of --images, --pixels, --texts and --tokens");
  const Tensor x = features(flags, flags.open());
  save_npy(flags.out, flags.normalize ? l2_normalize(x) : x);
  fmt::print(stderr, "{}: f32 ({}, {})\n", flags.out, x.dim(0), x.dim(1));
  return 0;
}

void declare(Command command, Flags& flags) {
  flags.declare(command);
  command.required("--out", flags.out, ".npy file")
      .option("--images", flags.images, "PNG or JPEG files")
      .option("--pixels", flags.pixels, ".npy (N, C, R, R) f32, already normalised")
      .option("--texts", flags.texts, "a file with one text per line")
      .option("--tokens", flags.tokens, ".npy (N, T) i64, padded with zeros")
      .flag("--normalize", flags.normalize, "rows of length one")
      .flag("--truncate", flags.truncate,
            "cut texts longer than the context instead of refusing them")
      .threads();
}

}  // namespace

void add_embed(Commands& commands) {
  commands.add("embed", "write features as an (N, E) .npy file", declare, run);
}

}  // namespace diptych::cli
