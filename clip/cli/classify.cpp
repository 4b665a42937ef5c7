// clip/cli/classify.cpp — `diptych classify`: which label fits a picture.
#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <set>

#include "clip/cli/account.h"
#include "clip/cli/command.h"
#include "clip/console.h"
#include "clip/eval/prompts.h"
#include "clip/eval/zero_shot.h"
#include "clip/train/progress.h"
#include "data/image/transform.h"
#include "tensor/io/file.h"

namespace diptych::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kWorthAFile = 500;  // prompts; fewer are encoded while the weights are hashed

struct Flags : ModelFlags {
  std::string labels, labels_file, templates = "exact";
  std::vector<std::string> images;
  int64_t top = 10;
  double max_bad_fraction = 0;
  bool json = false, truncate = false, cosines = false;
  ImageLimits limits;
};

// A bar for a share of the whole; a cosine is none.
std::string shown(const Flags& flags, double value) {
  constexpr double kBar = 30;
  if (flags.cosines) return fmt::format("{:8.4f}", value);
  return fmt::format("{:6.2f} %  {}", 100 * value,
                     std::string(static_cast<size_t>(kBar * value), '#'));
}

void print_table(const Flags& flags, const std::string& image,
                 const std::vector<std::string>& labels, const std::vector<double>& p) {
  std::vector<size_t> order(labels.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] > p[b]; });
  order.resize(std::min(order.size(), static_cast<size_t>(flags.top)));
  size_t width = 0;
  for (const size_t k : order) width = std::max(width, labels[k].size());
  print(fmt::format("{}\n", image));
  for (const size_t k : order)
    print(fmt::format("  {:<{}}  {}\n", labels[k], width, shown(flags, p[k])));
}

Tensor head_of(const Flags& flags, const LoadedModel& loaded,
               const std::vector<std::string>& labels) {
  const auto templates = prompt_templates(flags.templates);
  const bool worth_a_file = labels.size() * templates.size() >= kWorthAFile;
  const Tensor head = cached_zero_shot_head(*loaded.model, loaded.words(), labels, templates,
                                            worth_a_file ? loaded.head_folder() : "",
                                            flags.truncate ? Overflow::truncate : Overflow::error);
  if (flags.truncate)
    tell_cut(loaded.words(), filled_prompts(templates, labels),
             loaded.model->config().text.context_length);
  return head;
}

// Nothing if it cannot be read: the others may be fine.
std::optional<Tensor> pixels_of(const std::string& path, const Preprocess& settings,
                                const ImageLimits& limits, Accounting& account) {
  try {
    ++account.listed;
    const Tensor x = preprocess(load_picture(path, limits), settings);
    ++account.used;
    return reshape(x, {1, x.dim(0), x.dim(1), x.dim(2)});
  } catch (const Error& error) {
    account.left_out.push_back({path, error.what()});
    tell(fmt::format("diptych: {}\n", error.what()));
    return std::nullopt;
  }
}

// Keys of JSON: a label that stands twice is told apart by its place.
std::vector<std::string> keys_of(const std::vector<std::string>& labels) {
  std::set<std::string> taken(labels.begin(), labels.end()), used;
  std::vector<std::string> keys;
  for (size_t k = 0; k < labels.size(); ++k) {
    std::string key = labels[k];
    while (used.contains(key) || (key != labels[k] && taken.contains(key)))
      key += fmt::format(" (label {})", k + 1);
    used.insert(key);
    keys.push_back(key);
  }
  return keys;
}

Json row_of(const Flags& flags, const std::string& path, const std::vector<std::string>& keys,
            const std::vector<double>& p) {
  Json row{{"image", path}}, values = Json::object();
  for (size_t k = 0; k < keys.size(); ++k) values[keys[k]] = p[k];
  row[flags.cosines ? "cosines" : "probabilities"] = values;
  return row;
}

void tell_about(const Flags& flags, const std::vector<std::string>& labels) {
  tell_repeated(labels);
  if (labels.size() > 1 || flags.cosines) return;
  tell(
      "warning: of one label the share is 100 %, whatever the picture shows; --cosines says how "
      "well it fits\n");
}

std::vector<double> scores(const Flags& flags, const Clip& model, const Tensor& head,
                           const Tensor& pixels) {
  if (!flags.cosines) return softmax(zero_shot_logits(model, head, pixels)).to_vector<double>();
  return zero_shot_cosines(model, head, pixels).to_vector<double>();
}

Json classify(const Flags& flags, const LoadedModel& loaded, const std::vector<std::string>& labels,
              Accounting& account) {
  const Tensor head = head_of(flags, loaded, labels);
  const auto keys = keys_of(labels);
  Progress progress("classify", static_cast<int64_t>(flags.images.size()));
  Json results = Json::array();
  for (const std::string& path : flags.images) {
    progress.clear();
    const auto pixels = pixels_of(path, loaded.model->config().preprocess, flags.limits, account);
    if (!pixels) continue;
    const auto p = scores(flags, *loaded.model, head, *pixels);
    if (flags.json)
      results.push_back(row_of(flags, path, keys, p));
    else
      print_table(flags, path, labels, p);
    progress.update(account.listed);
  }
  return results;
}

int run(const Flags& flags) {
  check_usage(flags.labels.empty() != flags.labels_file.empty(),
              "classify: give either --labels or --labels-file");
  check_usage(!is_file(flags.labels), "classify: --labels '", flags.labels,
              "' is a file; --labels-file reads it");
  const auto labels =
      flags.labels.empty() ? read_labels(flags.labels_file) : split_labels(flags.labels);
  prompt_templates(flags.templates);  // what is misspelled is said before a model is read
  const LoadedModel loaded = flags.open();
  tell_about(flags, labels);
  Accounting account;
  const Json results = classify(flags, loaded, labels, account);
  if (flags.json) {
    Json object{{"labels", labels}, {"results", results}};
    add_accounting(object, account);
    print_json(object);
  }
  check_accounting("classify", account, flags.max_bad_fraction);
  return 0;
}

void declare(Command command, Flags& flags) {
  flags.declare(command);
  command.required("images", flags.images, std::string(kPictureFormats) + " files")
      .option("--labels", flags.labels, "class names, separated by commas")
      .option("--labels-file", flags.labels_file, "class names, one per line")
      .option("--templates", flags.templates,
              "sentences around the labels: " + template_names() +
                  ", or a file with one \"… {} …\" per line")
      .flag("--truncate", flags.truncate, "cut prompts longer than the context")
      .option("--max-bad-fraction", flags.max_bad_fraction,
              "of the pictures that may be left out because they cannot be read", kFraction)
      .flag("--cosines", flags.cosines, "how well each label fits, instead of shares of the whole")
      .image_limits(flags.limits)
      .option("--top", flags.top, "labels shown in the table", kAtLeastOne)
      .json(flags.json)
      .threads();
}

}  // namespace

void add_classify(Commands& commands) {
  commands.add("classify", "say which label fits each picture", declare, run);
}

}  // namespace diptych::cli
