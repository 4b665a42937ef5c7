// clip/cli/embed.cpp — `diptych embed`: features of pictures or texts as an .npy file.
#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "clip/cli/account.h"
#include "clip/cli/command.h"
#include "clip/console.h"
#include "clip/eval/zero_shot.h"
#include "data/picture_set.h"
#include "data/text/captions.h"

#include "tensor/io/npy.h"
#include "tensor/io/text_file.h"

namespace diptych::cli {
namespace {

constexpr int64_t kMaxTexts = int64_t{1} << 30;  // bytes of --texts

struct Flags : ModelFlags {
  std::vector<std::string> images;
  std::string pixels, texts, tokens, out;
  double max_bad_fraction = 0;
  bool normalize = false, truncate = false, json = false;
};

Tensor image_features(const Flags& flags, const Clip& model, Accounting& account) {
  PictureSet set =
      load_pictures("embed", flags.images, model.config().preprocess, flags.max_bad_fraction);
  account = std::move(set.accounting);
  tell(left_out_line(account));
  return encode_pixels(model, set.pixels);
}

Tensor text_features(const Flags& flags, const LoadedModel& loaded) {
  const auto texts = read_lines(flags.texts, kMaxTexts);
  const Tensor x = encode_texts(*loaded.model, loaded.words(), texts,
                                flags.truncate ? Overflow::truncate : Overflow::error);
  tell_cut(loaded.words(), texts, loaded.model->config().text.context_length);
  return x;
}

Tensor features(const Flags& flags, const LoadedModel& loaded, Accounting& account) {
  const Clip& model = *loaded.model;
  if (!flags.images.empty()) return image_features(flags, model, account);
  if (!flags.pixels.empty()) return encode_pixels(model, load_npy(flags.pixels));
  if (!flags.texts.empty()) return text_features(flags, loaded);
  const NoGrad no_grad;
  const Captions captions = pack_padded(load_npy(flags.tokens), caption_end(model.config().text));
  return model.encode_text(captions.to(model.device()));
}

int run(const Flags& flags) {
  const int sources =
      !flags.images.empty() + !flags.pixels.empty() + !flags.texts.empty() + !flags.tokens.empty();
  check_usage(sources == 1, "embed: give exactly one of --images, --pixels, --texts and --tokens");
  Accounting account;
  const Tensor features_found = features(flags, flags.open(), account);
  const Tensor x = flags.normalize ? l2_normalize(features_found) : features_found;
  check_finite(x, "embed: row");
  save_npy(flags.out, x);
  if (flags.json) {
    nlohmann::ordered_json object{{"out", flags.out}, {"shape", {x.dim(0), x.dim(1)}}};
    if (!flags.images.empty()) add_accounting(object, account);
    print_json(object);
    return 0;
  }
  tell(fmt::format("{}: f32 ({}, {})\n", flags.out, x.dim(0), x.dim(1)));
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
      .option("--max-bad-fraction", flags.max_bad_fraction,
              "of --images that may be left out because they cannot be read", kFraction)
      .json(flags.json)
      .threads();
}

}  // namespace

void add_embed(Commands& commands) {
  commands.add("embed", "write features as an (N, E) .npy file", declare, run);
}

}  // namespace diptych::cli
