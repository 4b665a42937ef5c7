// clip/train/validation_data.cpp — what to validate on, and how its result is told.
#include <fmt/core.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "clip/eval/prompts.h"
#include "clip/train/validation.h"
#include "data/tinted_fashion.h"
#include "tensor/io/file.h"
#include "tensor/io/sha256.h"

namespace diptych {
namespace {

using Json = nlohmann::ordered_json;

ValidationData open_fashion(const Preprocess& preprocess) {
  TintedOptions options;
  options.split = Split::validation;
  options.preprocess = preprocess;
  return {"fashion",
          std::make_unique<TintedFashion>(options),
          true,
          tinted::class_names(),
          prompt_templates("fashion"),
          {}};
}

ValidationData open_classes(const std::string& spec, const Preprocess& preprocess,
                            const ImageLimits& limits) {
  LabelledSource source = open_class_folders(spec, preprocess, limits);
  const Texts pictures = names_of(*source.dataset);
  return {spec,
          std::move(source.dataset),
          false,
          std::move(source.class_names),
          prompt_templates("simple"),
          std::move(source.left_out),
          pictures,
          std::move(source.empty_classes)};
}

int64_t size_of_file(const std::string& path) {
  std::error_code none;
  const auto size = std::filesystem::file_size(path, none);
  return none ? -1 : static_cast<int64_t>(size);
}

// Files by their size, those of one size by their content, which is read when it is asked for.
class Files {
 public:
  explicit Files(const Texts& paths) {
    paths([&](std::string_view path) {
      if (const int64_t size = size_of_file(std::string(path)); size >= 0)
        of_size_[size].paths.emplace_back(path);
    });
  }

  bool contain(const std::string& path) {
    const auto it = of_size_.find(size_of_file(path));
    if (it == of_size_.end()) return false;
    Alike& alike = it->second;
    for (const std::string& other : alike.paths) alike.hashes.insert(hash_of(other));
    alike.paths.clear();
    return alike.hashes.contains(hash_of(path));
  }

 private:
  struct Alike {
    std::vector<std::string> paths;  ///< not read yet
    std::set<std::string> hashes;
  };
  // What cannot be read is equal to nothing.
  static std::string hash_of(const std::string& path) {
    try {
      return sha256_of_file(InputFile("validation", path));
    } catch (const Error&) {
      return path;
    }
  }
  std::map<int64_t, Alike> of_size_;
};

void add_recall(const std::string& name, const Recall& r, Json& json) {
  json[name + "_R@1"] = r.at1;
  json[name + "_R@5"] = r.at5;
  json[name + "_R@10"] = r.at10;
  json[name + "_mean_rank"] = r.mean_rank;
  json[name + "_median_rank"] = r.median_rank;
}

std::string in_percent(const Recall& r) {
  return fmt::format("{:.2f} {:.2f} {:.2f} %", 100 * r.at1, 100 * r.at5, 100 * r.at10);
}

}  // namespace

ValidationData open_validation_pairs(const std::string& spec, const PairOptions& columns,
                                     const Preprocess& preprocess, const ImageLimits& limits) {
  PairSource source = open_pairs(spec, columns);
  auto dataset = std::make_unique<PairDataset>(std::move(source.pairs), preprocess, 0,
                                               /*training=*/false, limits);
  const Texts pictures = names_of(*dataset);
  return {spec, std::move(dataset), true, {}, {}, std::move(source.left_out), pictures};
}

ValidationData open_validation_data(const std::string& spec, const PairOptions& columns,
                                    const Preprocess& preprocess, const ImageLimits& limits) {
  if (spec == "fashion") return open_fashion(preprocess);
  if (!std::filesystem::is_directory(spec))
    return open_validation_pairs(spec, columns, preprocess, limits);
  std::string no_pairs;
  try {
    return open_validation_pairs(spec, columns, preprocess, limits);
  } catch (const Error& error) {
    no_pairs = error.what();
  }
  try {
    return open_classes(spec, preprocess, limits);
  } catch (const Error& error) {
    fail("validation: '", spec, "' holds neither pairs (", no_pairs, ") nor classes (",
         error.what(), ")");
  }
}

void check_pictures_there(const ValidationData& data, double most) {
  if (!data.pictures) return;
  int64_t listed = static_cast<int64_t>(data.left_out.size()), missing = listed;
  std::string first = data.left_out.empty() ? "" : data.left_out[0].name;
  data.pictures([&](std::string_view path) {
    ++listed;
    if (is_file(std::string(path))) return;
    if (missing++ == 0) first = path;
  });
  check(static_cast<double>(missing) <= most * static_cast<double>(listed), "validation: ", missing,
        " of ", listed, " of '", data.spec, "' cannot be used, more than --max-bad-fraction ", most,
        "; the first is '", first, "'");
}

int64_t shared_files(const Texts& pictures, const Texts& others) {
  if (!pictures || !others) return 0;
  Files known(others);
  int64_t count = 0;
  pictures([&](std::string_view path) { count += known.contain(std::string(path)); });
  return count;
}

double ValidationResult::score() const {
  if (accuracy) return accuracy->acc1;
  return image_to_text ? (image_to_text->at1 + text_to_image->at1) / 2 : 0;
}

std::string ValidationResult::score_name() const {
  return accuracy ? "zero-shot accuracy" : "mean R@1";
}

std::string ValidationResult::to_json() const {
  Json json;
  if (loss) json["loss"] = *loss;
  if (image_to_text) add_recall("image_to_text", *image_to_text, json);
  if (text_to_image) add_recall("text_to_image", *text_to_image, json);
  if (accuracy) json.update({{"acc1", accuracy->acc1}, {"acc5", accuracy->acc5}});
  json.update({{"pictures", pictures}, {"left_out", left_out.size()}, {"truncated", truncated}});
  return json.dump();
}

std::string ValidationResult::to_line() const {
  std::string text = fmt::format("{} pictures", pictures);
  if (loss) text += fmt::format(" | loss {:.4f}", *loss);
  if (image_to_text)
    text += fmt::format(" | R@1 5 10: text of a picture {}, picture of a text {}",
                        in_percent(*image_to_text), in_percent(*text_to_image));
  if (accuracy)
    text += fmt::format(" | zero-shot top-1 {:.2f} %, top-5 {:.2f} %", 100 * accuracy->acc1,
                        100 * accuracy->acc5);
  if (!left_out.empty()) text += fmt::format(" | {} left out", left_out.size());
  if (truncated > 0) text += fmt::format(" | {} captions truncated", truncated);
  return text;
}

}  // namespace diptych
