// clip/cli/preprocess.cpp — `diptych preprocess`: the exact pixels a model would see.
#include <fmt/core.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "clip/cli/account.h"
#include "clip/cli/command.h"
#include "clip/console.h"
#include "clip/train/progress.h"
#include "data/picture_batches.h"
#include "tensor/io/npy.h"

namespace diptych::cli {
namespace {

constexpr int64_t kBatch = 64;  // what is in memory at once

struct Flags : ModelFlags {
  std::optional<int64_t> size;
  std::vector<std::string> images;
  std::string out, png, mode, separator = "\t";
  PairOptions columns;
  double max_bad_fraction = 0;
  bool json = false;
  ImageLimits limits;
};

// The model's, or OpenAI's but for the flags.
Preprocess settings_of(const Flags& flags) {
  if (!flags.model.empty()) {
    check_usage(!flags.size && flags.mode.empty(),
                "preprocess: --size and --mode are the model's; leave them out, or --model");
    return flags.open(Towers::image).model->config().preprocess;
  }
  Preprocess settings;
  settings.size = flags.size.value_or(settings.size);
  if (!flags.mode.empty()) settings.resize_mode = resize_mode_from(flags.mode);
  return settings;
}

/// What pixels (B, C, R, R) were before they were normalised, below what `image` has already.
void append_view(RgbImage& image, const Tensor& pixels, const Preprocess& how) {
  const int64_t B = pixels.dim(0), C = pixels.dim(1), area = how.size * how.size;
  const auto values = pixels.to_vector<double>();
  for (int64_t i = 0; i < B * area * 3; ++i) {
    const int64_t b = i / 3 / area, at = i / 3 % area, c = C == 1 ? 0 : i % 3;
    const auto channel = static_cast<size_t>(c);
    const double x = values[static_cast<size_t>((b * C + c) * area + at)];
    const double value = 255 * (x * how.std[channel] + how.mean[channel]);
    image.rgb.push_back(static_cast<uint8_t>(std::clamp(std::lround(value), 0L, 255L)));
  }
  image.width = how.size;
  image.height += B * how.size;
}

Accounting each_batch(const Flags& flags, const PictureNames& pictures, const Preprocess& how,
                      const std::function<void(const Tensor&)>& take) {
  Progress progress("preprocess", pictures.size());
  int64_t done = 0;
  return each_picture_batch("preprocess", pictures, how, flags.max_bad_fraction, flags.limits,
                            kBatch, [&](const PictureBatch& batch) {
                              take(normalized(batch.bytes, pixel_table(how)));
                              progress.update(done += batch.bytes.dim(0));
                            });
}

Accounting write(const Flags& flags, const Preprocess& how) {
  const PictureNames pictures = name_pictures(flags.images, flags.columns);
  RgbImage seen;
  Accounting account;
  const auto all = [&](const auto& also) {
    account = each_batch(flags, pictures, how, [&](const Tensor& pixels) {
      if (!flags.png.empty()) append_view(seen, pixels, how);
      also(pixels);
    });
  };
  if (flags.out.empty()) {
    all([](const Tensor&) {});
  } else {
    write_file_atomically(flags.out, [&](FileWriter& out) {
      NpyRows rows(out, {how.channels, how.size, how.size}, pictures.size());
      all([&](const Tensor& pixels) { rows.add(pixels); });
      rows.finish();
    });
  }
  if (!flags.png.empty()) save_png(flags.png, seen);
  tell(left_out_line(account) + others_line(pictures.others));
  return account;
}

int run(const Flags& given) {
  Flags flags = given;
  flags.columns.separator = separator_from(flags.separator);
  check_usage(!flags.out.empty() || !flags.png.empty(), "preprocess: give --out, --png or both");
  check_usage(flags.out != flags.png, "preprocess: --out and --png are the same file, '", flags.out,
              "'");
  check_usage(
      !flags.model.empty() || !flags.any(),
      "preprocess: --image-size, --vocab and the like describe a --model, and there is none; "
      "--size and --mode do without");
  const Preprocess how = settings_of(flags);
  const Accounting account = write(flags, how);
  if (flags.json) {
    nlohmann::ordered_json object{{"shape", {account.used, how.channels, how.size, how.size}}};
    if (!flags.out.empty()) object["out"] = flags.out;
    if (!flags.png.empty()) object["png"] = flags.png;
    add_accounting(object, account);
    print_json(object);
    return 0;
  }
  if (!flags.out.empty())
    tell(fmt::format("{}: f32 ({}, {}, {}, {})\n", flags.out, account.used, how.channels, how.size,
                     how.size));
  if (!flags.png.empty())
    tell(fmt::format("{}: {} pictures, one below the other\n", flags.png, account.used));
  return 0;
}

void declare(Command command, Flags& flags) {
  command
      .required("images", flags.images,
                "pictures; folders, with all below them; .tsv or .csv tables; .txt lists")
      .option("--out", flags.out, ".npy file")
      .option("--png", flags.png, "what the model sees as a picture, one below the other")
      .option("--csv-separator", flags.separator, "of tables; a tab by default")
      .option("--csv-img-key", flags.columns.image_key, "column of picture paths")
      .option("--model", flags.model, "whose pixels (default: those of OpenAI's models)")
      .option("--size", flags.size, "R, pixels, without --model (default 224)", {1, 4096})
      .choice("--mode", flags.mode,
              "how a picture becomes square, without --model (default: shortest)",
              {"shortest", "longest", "squash"})
      .option("--max-bad-fraction", flags.max_bad_fraction,
              "of the pictures that may be left out because they cannot be read", kFraction)
      .image_limits(flags.limits)
      .json(flags.json);
  flags.declare_options(command);
}

}  // namespace

void add_preprocess(Commands& commands) {
  commands.add("preprocess", "write the pixels a model would see as an (N, 3, R, R) .npy file",
               declare, run);
}

}  // namespace diptych::cli
