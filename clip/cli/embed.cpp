// clip/cli/embed.cpp — `diptych embed`: features of pictures or texts as an .npy file.
#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "clip/cli/account.h"
#include "clip/cli/command.h"
#include "clip/cli/embed_names.h"
#include "clip/console.h"
#include "clip/eval/zero_shot.h"
#include "clip/train/progress.h"
#include "data/picture_batches.h"
#include "data/text/captions.h"
#include "tensor/io/npy.h"
#include "tensor/io/text_file.h"

namespace diptych::cli {
namespace {

constexpr int64_t kBatch = 64;  // what is in memory at once

struct Flags : ModelFlags {
  std::vector<std::string> images;
  std::string pixels, texts, tokens, out, names, separator = "\t";
  PairOptions columns;
  double max_bad_fraction = 0;
  bool normalize = false, truncate = false, json = false;
  ImageLimits limits;
};

/// What was written.
struct Written {
  int64_t rows = 0;
  std::optional<Accounting> account;  ///< of --images
  std::string names;                  ///< the file of names; empty if there is none
};

Tensor finished(const Flags& flags, const Tensor& features) {
  const Tensor x = flags.normalize ? l2_normalize(features) : features;
  check_finite(x, "embed: row");
  return x;
}

// What is written is not read.
void check_outputs(const Flags& flags, const std::string& names) {
  check_usage(names.empty() || !same_file(flags.out, names),
              "embed: --out and --names are the same file, '", names, "'");
  for (const std::string& spec : flags.images) {
    check(!same_file(spec, flags.out), "embed: '", spec,
          "' is read, and would be replaced by the array; choose another --out");
    check(
        names.empty() || !same_file(spec, names), "embed: '", spec,
        "' is read, and would be replaced by the names of the rows; --names puts those elsewhere");
  }
}

void embed_pictures(const Flags& flags, const Clip& model, const PictureNames& pictures,
                    NpyRows& rows, FileWriter* names, Written& written) {
  const Preprocess& how = model.config().preprocess;
  const Tensor table = pixel_table(how).to(model.device());
  Progress progress("embed", pictures.size());
  written.account = each_picture_batch(
      "embed", pictures, how, flags.max_bad_fraction, flags.limits, kBatch,
      [&](const PictureBatch& batch) {
        rows.add(finished(flags, encode_pixels(model, normalized(batch.bytes, table))));
        for (const std::string* name : batch.names)
          if (names) names->write(row_name(*name) + '\n');
        progress.update(rows.size());
      });
}

Written write_pictures(const Flags& flags, const Clip& model) {
  const PictureNames pictures = name_pictures(flags.images, flags.columns);
  Written written;
  written.names = flags.names.empty() ? free_names(flags.out, pictures.pictures) : flags.names;
  check_outputs(flags, written.names);
  write_file_atomically(flags.out, [&](FileWriter& out) {
    NpyRows rows(out, {model.config().embed_dim}, pictures.size());
    if (written.names.empty()) {
      embed_pictures(flags, model, pictures, rows, nullptr, written);
    } else {
      write_file_atomically(written.names, [&](FileWriter& names) {
        embed_pictures(flags, model, pictures, rows, &names, written);
      });
    }
    rows.finish();
    written.rows = rows.size();
  });
  tell(left_out_line(*written.account) + others_line(pictures.others));
  return written;
}

int64_t count_lines(const InputFile& file) {
  int64_t count = 0;
  read_lines(file, [&](const std::string&) { ++count; });
  return count;
}

void embed_texts(const Flags& flags, const LoadedModel& loaded, const InputFile& file,
                 NpyRows& rows, int64_t count) {
  Progress progress("embed", count);
  std::vector<std::string> batch;
  const auto encode = [&] {
    if (batch.empty()) return;
    rows.add(finished(flags, encode_texts(*loaded.model, loaded.words(), batch,
                                          flags.truncate ? Overflow::truncate : Overflow::error)));
    batch.clear();
    progress.update(rows.size());
  };
  read_lines(file, [&](std::string line) {
    batch.push_back(std::move(line));
    if (static_cast<int64_t>(batch.size()) == kBatch) encode();
  });
  encode();
}

Written write_texts(const Flags& flags, const LoadedModel& loaded) {
  const InputFile file("read", flags.texts);
  const int64_t count = count_lines(file);
  check(count > 0, "embed: there are no texts in '", flags.texts, "'");
  write_file_atomically(flags.out, [&](FileWriter& out) {
    NpyRows rows(out, {loaded.model->config().embed_dim}, count);
    embed_texts(flags, loaded, file, rows, count);
    rows.finish();
  });
  if (flags.truncate) {
    tell_cut(
        loaded.words(),
        [&](const auto& each) { read_lines(file, [&](const std::string& line) { each(line); }); },
        loaded.model->config().text.context_length);
  }
  return {count, {}, {}};
}

Written write_array(const Flags& flags, const Clip& model) {
  const NoGrad no_grad;
  const Tensor given = load_npy(flags.pixels.empty() ? flags.tokens : flags.pixels);
  const auto encode_tokens = [&] {
    const Captions captions = pack_padded(given, caption_end(model.config().text));
    return model.encode_text(captions.to(model.device()));
  };
  const Tensor x =
      finished(flags, flags.pixels.empty() ? encode_tokens() : encode_pixels(model, given));
  save_npy(flags.out, x);
  return {x.dim(0), {}, {}};
}

Written write_features(const Flags& flags, const LoadedModel& loaded) {
  if (!flags.images.empty()) return write_pictures(flags, *loaded.model);
  return flags.texts.empty() ? write_array(flags, *loaded.model) : write_texts(flags, loaded);
}

void check_flags(const Flags& flags) {
  const int sources =
      !flags.images.empty() + !flags.pixels.empty() + !flags.texts.empty() + !flags.tokens.empty();
  check_usage(sources == 1, "embed: give exactly one of --images, --pixels, --texts and --tokens");
  const bool pictures = !flags.images.empty(), texts = !flags.texts.empty();
  const bool table = flags.separator != "\t" || flags.columns.image_key != PairOptions().image_key;
  check_usage(pictures || flags.names.empty(), "embed: --names is of --images");
  check_usage(pictures || !table, "embed: --csv-… are of tables in --images");
  check_usage(pictures || flags.max_bad_fraction == 0, "embed: --max-bad-fraction is of --images");
  check_usage(texts || !flags.truncate, "embed: --truncate is of --texts");
}

int run(const Flags& given) {
  check_flags(given);
  Flags flags = given;
  flags.columns.separator = separator_from(flags.separator);
  const bool pictures = !flags.images.empty() || !flags.pixels.empty();
  const LoadedModel loaded = flags.open(pictures ? Towers::image : Towers::text);
  const int64_t width = loaded.model->config().embed_dim;
  const Written written = write_features(flags, loaded);
  if (flags.json) {
    nlohmann::ordered_json object{{"out", flags.out}, {"shape", {written.rows, width}}};
    if (!written.names.empty()) object["names"] = written.names;
    if (written.account) add_accounting(object, *written.account);
    print_json(object);
    return 0;
  }
  tell(fmt::format("{}: f32 ({}, {}){}\n", flags.out, written.rows, width,
                   written.names.empty() ? "" : ", a name for each row in " + written.names));
  return 0;
}

void declare(Command command, Flags& flags) {
  flags.declare(command);
  command.required("--out", flags.out, ".npy file")
      .option("--images", flags.images,
              "pictures; folders, with all below them; .tsv or .csv tables; .txt lists, a path on "
              "each line. Relative paths in tables and lists start at their folder")
      .option("--names", flags.names,
              "of --images: file for the name of each row (default: names.tsv beside --out, or "
              "NAME.names.tsv where that names the rows of another array)")
      .option("--csv-separator", flags.separator, "of tables; a tab by default")
      .option("--csv-img-key", flags.columns.image_key, "column of picture paths")
      .option("--pixels", flags.pixels, ".npy (N, C, R, R) f32, already normalised")
      .option("--texts", flags.texts, "a file with one text per line")
      .option("--tokens", flags.tokens, ".npy (N, T) i64, padded with zeros")
      .flag("--normalize", flags.normalize, "rows of length one")
      .flag("--truncate", flags.truncate,
            "cut texts longer than the context instead of refusing them")
      .option("--max-bad-fraction", flags.max_bad_fraction,
              "of --images that may be left out because they cannot be read", kFraction)
      .image_limits(flags.limits)
      .json(flags.json)
      .threads();
}

}  // namespace

void add_embed(Commands& commands) {
  commands.add("embed", "write features as an (N, E) .npy file", declare, run);
}

}  // namespace diptych::cli
