// clip/cli/classify.cpp — `diptych classify`: which label fits a picture.
#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <numeric>

#include "clip/cli/command.h"
#include "clip/eval/prompts.h"
#include "clip/eval/zero_shot.h"
#include "data/image/transform.h"

namespace diptych::cli {
namespace {

constexpr size_t kWorthAFile = 500;  // prompts; fewer are encoded while the weights are hashed

struct Flags : ModelFlags {
  std::string labels, labels_file, templates = "exact";
  std::vector<std::string> images;
  int64_t top = 10;
  bool json = false, truncate = false;
};

void print_table(const std::string& image, const std::vector<std::string>& labels,
                 const std::vector<double>& p, size_t top) {
  constexpr size_t kBar = 30;
  std::vector<size_t> order(labels.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] > p[b]; });
  order.resize(std::min(order.size(), top));
  size_t width = 0;
  for (const size_t k : order) width = std::max(width, labels[k].size());
  fmt::print("{}\n", image);
  for (const size_t k : order) {
    fmt::print("  {:<{}}  {:6.2f} %  {}\n", labels[k], width, 100 * p[k],
               std::string(static_cast<size_t>(kBar * p[k]), '#'));
  }
}

int run(const Flags& flags) {
  check(flags.labels.empty() != flags.labels_file.empty(),
        "classify: give either --labels or --labels-file");
  const auto labels =
      flags.labels.empty() ? read_labels(flags.labels_file) : split_labels(flags.labels);
  const auto templates = prompt_templates(flags.templates);
  const LoadedModel loaded = flags.open();
  const Clip& model = *loaded.model;
  const bool worth_a_file = labels.size() * templates.size() >= kWorthAFile;
  const Tensor head = cached_zero_shot_head(model, loaded.words(), labels, templates,
                                            worth_a_file ? loaded.head_folder() : "",
                                            flags.truncate ? Overflow::truncate : Overflow::error);

  nlohmann::ordered_json results = nlohmann::ordered_json::array();
  bool failed = false;
  for (const std::string& path : flags.images) {
    try {
      const Tensor pixels = preprocess(load_picture(path), model.config().preprocess);
      const Tensor logits = zero_shot_logits(
          model, head, reshape(pixels, {1, pixels.dim(0), pixels.dim(1), pixels.dim(2)}));
      const auto p = softmax(logits).to_vector<double>();
      if (!flags.json) print_table(path, labels, p, static_cast<size_t>(flags.top));
      nlohmann::ordered_json row{{"image", path}};
      for (size_t k = 0; k < labels.size(); ++k) row["probabilities"][labels[k]] = p[k];
      results.push_back(row);
    } catch (const Error& error) {  // the other pictures may be fine
      fmt::print(stderr, "diptych: {}\n", error.what());
      failed = true;
    }
  }
  if (flags.json)
    fmt::print("{}\n", nlohmann::ordered_json{{"results", results}}.dump(
                           -1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  return failed ? 1 : 0;
}

void declare(Command command, Flags& flags) {
  flags.declare(command);
  command.required("images", flags.images, "PNG or JPEG files")
      .option("--labels", flags.labels, "class names, separated by commas")
      .option("--labels-file", flags.labels_file, "class names, one per line")
      .option("--templates", flags.templates,
              "sentences around the labels: " + template_names() +
                  ", or a file with one \"… {} …\" per line")
      .flag("--truncate", flags.truncate, "cut prompts longer than the context")
      .option("--top", flags.top, "labels shown in the table", kAtLeastOne)
      .json(flags.json)
      .threads();
}

}  // namespace

void add_classify(Commands& commands) {
  commands.add("classify", "say which label fits each picture", declare, run);
}

}  // namespace diptych::cli
