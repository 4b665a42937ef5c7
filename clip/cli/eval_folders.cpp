// clip/cli/eval_folders.cpp — `diptych eval` on pictures in one folder per class.
#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "clip/cli/account.h"
#include "clip/cli/eval.h"
#include "clip/console.h"
#include "clip/data_source.h"
#include "clip/eval/prompts.h"
#include "clip/eval/report.h"
#include "tensor/io/file.h"

namespace diptych::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kShownClasses = 50, kShownConfusions = 10;

/// The classes, what they are called, and how it went.
struct Found {
  const LabelledSource& source;
  std::vector<std::string> names;  ///< at the labels
  Predictions predictions;
  std::vector<Accuracy> rows;
  std::vector<Confusion> confusions;

  const std::string& folder(int64_t label) const {
    return source.class_names.at(static_cast<size_t>(label));
  }
  /// "dog (n02084071)", or the one name if it is both.
  std::string name(int64_t label) const {
    const std::string& called = names.at(static_cast<size_t>(label));
    return called == folder(label) ? called : called + " (" + folder(label) + ')';
  }
};

std::vector<std::string> names_for(const EvalFlags& flags, const LabelledSource& source) {
  if (flags.labels_file.empty()) return source.class_names;
  const ClassNames read = read_class_names(flags.labels_file, source.class_names);
  tell(read.understood + '\n');
  tell_repeated(read.names);
  return read.names;
}

// Those that fared worst if there are too many to read; equals in their order.
std::vector<int64_t> shown_classes(const Found& found) {
  std::vector<int64_t> order(found.rows.size());
  std::iota(order.begin(), order.end(), 0);
  if (order.size() <= kShownClasses) return order;
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return found.rows[static_cast<size_t>(a)].acc1 < found.rows[static_cast<size_t>(b)].acc1;
  });
  order.resize(kShownClasses);
  return order;
}

void print_classes(const Found& found) {
  const auto shown = shown_classes(found);
  const bool all = shown.size() == found.rows.size();
  print_heads(all ? "class"
                  : fmt::format("the worst {} of {} classes", shown.size(), found.rows.size()));
  for (const int64_t label : shown) {
    const Accuracy& row = found.rows[static_cast<size_t>(label)];
    if (row.pictures > 0) print_row(found.name(label), row);
  }
  if (!all) print("  (--json and --report have them all)\n");
}

void print_confusions(const Found& found) {
  if (found.confusions.empty()) return;
  const size_t shown = std::min(kShownConfusions, found.confusions.size());
  print(fmt::format("most frequent mistakes, {} of {} kinds\n", shown, found.confusions.size()));
  for (size_t i = 0; i < shown; ++i) {
    const Confusion& c = found.confusions[i];
    const int64_t of = found.rows[static_cast<size_t>(c.label)].pictures;
    print(fmt::format("  {} of {} of {} taken for {}\n", c.pictures, of, found.name(c.label),
                      found.name(c.taken_for)));
  }
}

Json classes_of(const Found& found) {
  Json classes = Json::array();
  for (size_t k = 0; k < found.rows.size(); ++k) {
    const Accuracy& row = found.rows[k];
    classes.push_back({{"folder", found.source.class_names[k]},
                       {"name", found.names[k]},
                       {"pictures", row.pictures},
                       {"acc1", row.acc1},
                       {"acc5", row.acc5}});
  }
  return classes;
}

Json confusions_of(const Found& found) {
  Json all = Json::array();
  for (const Confusion& c : found.confusions)
    all.push_back({{"folder", found.folder(c.label)},
                   {"taken_for", found.folder(c.taken_for)},
                   {"pictures", c.pictures}});
  return all;
}

std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return text;
}

void write_tables(const std::string& folder, const Found& found) {
  std::string classes = "folder\tname\tpictures\tacc1\tacc5\n";
  for (size_t k = 0; k < found.rows.size(); ++k) {
    const Accuracy& row = found.rows[k];
    classes += fmt::format("{}\t{}\t{}\t{:.6f}\t{:.6f}\n", one_line(found.source.class_names[k]),
                           one_line(found.names[k]), row.pictures, row.acc1, row.acc5);
  }
  std::string mistakes = "folder\ttaken_for\tpictures\n";
  for (const Confusion& c : found.confusions)
    mistakes += fmt::format("{}\t{}\t{}\n", one_line(found.folder(c.label)),
                            one_line(found.folder(c.taken_for)), c.pictures);
  write_file_atomically(folder + "/classes.tsv", classes);
  write_file_atomically(folder + "/confusions.tsv", mistakes);
}

// As the model sees them.
RgbImage view_of(const Dataset& dataset, int64_t index) {
  const Tensor pixels = dataset.get(index, 0).pixels.contiguous();  // u8 (R, R, C)
  RgbImage image{pixels.dim(1), pixels.dim(0), {}};
  const auto* bytes = pixels.data<uint8_t>();
  const int64_t C = pixels.dim(2);
  for (int64_t i = 0; i < 3 * image.width * image.height; ++i)
    image.rgb.push_back(bytes[i / 3 * C + (C == 1 ? 0 : i % 3)]);
  return image;
}

void report(const std::string& folder, const Found& found) {
  ReportSource source;
  source.names = found.names;
  source.picture = [&](int64_t index) { return view_of(*found.source.dataset, index); };
  const auto rows = spread_rows(found.predictions);
  source.groups = {{fmt::format("{} of {} pictures, at equal distances", rows.size(),
                                found.predictions.labels.size()),
                    rows}};
  write_report(folder, source, found.predictions);
  write_tables(folder, found);
}

void print_results(const EvalFlags& flags, const Found& found, const Accuracy& all,
                   size_t templates) {
  print(fmt::format("zero-shot on {}, {} classes, {} templates\n", flags.data, found.names.size(),
                    templates));
  print_classes(found);
  print_row("all pictures", all);
  print_confusions(found);
}

void print_object(const EvalFlags& flags, const Found& found, const Accuracy& all,
                  const Accounting& account) {
  Json object = result<Json>(flags, flags.data, all);
  object["classes"] = classes_of(found);
  object["confusions"] = confusions_of(found);
  add_accounting(object, account);
  object["empty_classes"] = found.source.empty_classes;
  object["other_files"] = found.source.others.size();
  print_json(object);
}

}  // namespace

int eval_folders(const EvalFlags& flags, const LoadedModel& loaded) {
  check(is_folder(flags.data),
        "eval: --data must be fashion or a folder with one sub-folder per class, got '", flags.data,
        "'");
  const LabelledSource source =
      open_class_folders(flags.data, loaded.model->config().preprocess, flags.limits);
  const auto elsewhere = static_cast<int64_t>(source.left_out.size());
  const int64_t listed = source.dataset->size() + elsewhere;
  // Before the work of the others.
  check_accounting("eval", {listed, listed - elsewhere, source.left_out}, flags.max_bad_fraction);
  const auto templates = prompt_templates(flags.templates.empty() ? "simple" : flags.templates);
  Found found{source, names_for(flags, source), {}, {}, {}};
  found.predictions =
      predict(flags, loaded, *source.dataset, head_of(flags, loaded, found.names, templates));
  const Accounting account = account_for(flags, found.predictions, source.left_out, listed);
  found.rows = accuracy_by_class(found.predictions, static_cast<int64_t>(found.names.size()));
  found.confusions = confusions(found.predictions);
  const Accuracy all = accuracy(found.predictions, [](int64_t) { return true; });
  if (!flags.report.empty()) report(flags.report, found);
  if (flags.json) {
    print_object(flags, found, all, account);
    return 0;
  }
  print_results(flags, found, all, templates.size());
  print(empty_classes_line(source.empty_classes, source.class_names.size()) +
        left_out_line(account) + others_line(source.others));
  return 0;
}

}  // namespace diptych::cli
