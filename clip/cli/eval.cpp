// clip/cli/eval.cpp — `diptych eval`: zero-shot accuracy, with CLIP_benchmark's keys.
#include "clip/cli/eval.h"

#include <fmt/core.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "clip/cli/account.h"
#include "clip/console.h"
#include "clip/eval/prompts.h"
#include "clip/eval/report.h"
#include "clip/eval/zero_shot.h"
#include "clip/train/progress.h"
#include "data/tinted_fashion.h"

namespace diptych::cli {
namespace {

using Json = nlohmann::ordered_json;
using Flags = EvalFlags;

}  // namespace

Predictions predict(const Flags& flags, const LoadedModel& loaded, const Dataset& dataset,
                    const Tensor& head) {
  LoaderOptions options;
  options.batch_size = flags.batch_size;
  options.workers = flags.workers;
  options.shuffle = false;
  options.context_length = loaded.model->config().text.context_length;
  Loader loader(dataset, loaded.words(), options);
  Progress progress("classify", dataset.size());
  return classify_dataset(*loaded.model, head, loader,
                          [&](int64_t done) { progress.update(done); });
}

Tensor head_of(const Flags& flags, const LoadedModel& loaded, const std::vector<std::string>& names,
               const std::vector<std::string>& templates) {
  const Tensor head =
      cached_zero_shot_head(*loaded.model, loaded.words(), names, templates, loaded.head_folder(),
                            flags.truncate ? Overflow::truncate : Overflow::error);
  if (flags.truncate)
    tell_cut(loaded.words(), filled_prompts(templates, names),
             loaded.model->config().text.context_length);
  return head;
}

void print_heads(const std::string& what) {
  print(fmt::format("  {:<48} {:>8} {:>10} {:>10}\n", what, "pictures", "top-1", "top-5"));
}

void print_row(const std::string& what, const Accuracy& a) {
  check(a.pictures > 0, "eval: there is no picture for: ", what);
  print(fmt::format("  {:<48} {:>8} {:>8.2f} % {:>8.2f} %\n", what, a.pictures, 100 * a.acc1,
                    100 * a.acc5));
}

Accounting account_for(const Flags& flags, const Predictions& predictions,
                       const std::vector<LeftOut>& elsewhere, int64_t listed) {
  Accounting a{listed, static_cast<int64_t>(predictions.labels.size()), elsewhere};
  a.left_out.insert(a.left_out.end(), predictions.left_out.begin(), predictions.left_out.end());
  check_accounting("eval", a, flags.max_bad_fraction);
  return a;
}

namespace {

// Half of the pictures are of combinations never seen in training; those are kept as files, too.
void report_fashion(const std::string& folder, const TintedFashion& dataset,
                    const Predictions& predictions,
                    const std::function<bool(int64_t label)>& held_out) {
  ReportSource source;
  source.names = tinted::class_names();
  source.picture = [&](int64_t index) { return dataset.view(index, 0).image; };
  source.groups = {{"Combinations of colour and garment never seen in training",
                    first_rows(predictions, held_out)},
                   {"Combinations seen in training (other pictures)",
                    first_rows(predictions, [&](int64_t label) { return !held_out(label); })}};
  write_report(folder, source, predictions);
  save_examples(folder, source, predictions, source.groups[0]);
}

// Each class is one name in several sentences; labels of the dataset are colour · 10 + garment.
int run_fashion(const Flags& flags, const LoadedModel& loaded) {
  const std::string split = flags.split.empty() ? "test" : flags.split;
  TintedOptions options;
  options.split = split == "test" ? Split::test : Split::validation;
  options.preprocess = loaded.model->config().preprocess;
  const TintedFashion dataset(options);
  const auto templates = prompt_templates(flags.templates.empty() ? "fashion" : flags.templates);
  const Tensor combinations = head_of(flags, loaded, tinted::class_names(), templates);
  const Predictions by_combination = predict(flags, loaded, dataset, combinations);
  const std::vector<std::string> garments(tinted::garments().begin(), tinted::garments().end());
  account_for(flags, by_combination, {}, dataset.size());
  Predictions by_garment =
      predict(flags, loaded, dataset, head_of(flags, loaded, garments, templates));
  for (int64_t& label : by_garment.labels) label %= tinted::kGarments;

  const auto held_out = [](int64_t label) {
    return tinted::is_held_out(static_cast<int>(label / tinted::kGarments),
                               static_cast<int>(label % tinted::kGarments));
  };
  const Accuracy seen = accuracy(by_combination, [&](int64_t label) { return !held_out(label); });
  const Accuracy unseen = accuracy(by_combination, held_out);
  const Accuracy garment = accuracy(by_garment, [](int64_t) { return true; });
  if (!flags.report.empty()) report_fashion(flags.report, dataset, by_combination, held_out);
  const std::string name = "tinted-fashion-mnist/" + split;
  if (flags.json) {
    print_json(Json{
        {"results",
         {result<Json>(flags, name + "/seen", seen), result<Json>(flags, name + "/unseen", unseen),
          result<Json>(flags, name + "/garment", garment)}}});
    return 0;
  }
  print(fmt::format("zero-shot on tinted Fashion-MNIST, {} pictures, {} templates\n", split,
                    templates.size()));
  print_heads("");
  print_row("120 ways, the 100 combinations seen in training", seen);
  print_row("120 ways, the 20 combinations never seen", unseen);
  print_row("10 ways, garment alone, no colour word", garment);
  return 0;
}

// Nothing that was asked for is passed over.
void check_idle(const Flags& f, bool fashion, bool pairs) {
  const PairOptions plain;
  const bool table = f.columns.image_key != plain.image_key || f.separator != "\t" ||
                     f.columns.caption_key != plain.caption_key;
  const std::pair<bool, const char*> idle[] = {
      {fashion && !f.labels_file.empty(),
       "--labels-file names the classes of folders; those of fashion are known"},
      {pairs && !f.labels_file.empty(), "--labels-file is of classes, pairs have none"},
      {pairs && !f.templates.empty(), "--templates are for names of classes, pairs have captions"},
      {pairs && !f.report.empty(), "--report is of classes; --json has all there is of pairs"},
      {!fashion && !f.split.empty(), "--split is of fashion"},
      {!pairs && table, "--csv-… are of tables of pairs"}};
  for (const auto& [is_idle, why] : idle) check_usage(!is_idle, "eval: ", why);
}

int run(const Flags& given) {
  Flags flags = given;
  flags.columns.separator = separator_from(flags.separator);
  const bool fashion = flags.data == "fashion";
  const bool pairs = !fashion && flags.task != "zeroshot" && holds_pairs(flags);
  check_usage(
      pairs || flags.task != "retrieval", "eval: '", flags.data,
      "' holds no pairs, on which --task retrieval works: a table, or pictures with captions "
      "beside them");
  check_idle(flags, fashion, pairs);
  if (!flags.templates.empty()) prompt_templates(flags.templates);  // wrong ones are said at once
  LoadedModel loaded = flags.open();
  if (pairs) return eval_pairs(flags, loaded);
  return fashion ? run_fashion(flags, loaded) : eval_folders(flags, loaded);
}

void declare(Command command, Flags& flags) {
  flags.declare(command);
  command
      .required("--data", flags.data,
                "fashion, a folder with one sub-folder of pictures per class, or pairs: a .tsv or "
                ".csv table, or a folder of pictures with .txt captions beside them")
      .choice("--task", flags.task,
              "zeroshot accuracy of classes, or retrieval among pairs (default: what the data are)",
              {"zeroshot", "retrieval"})
      .option("--csv-separator", flags.separator, "of tables; a tab by default")
      .option("--csv-img-key", flags.columns.image_key, "column of picture paths")
      .option("--csv-caption-key", flags.columns.caption_key, "column of captions")
      .choice("--split", flags.split, "of fashion (default test)", {"test", "validation"})
      .option("--templates", flags.templates,
              template_names() + ", or a file (default: fashion for fashion, else simple)")
      .flag("--truncate", flags.truncate, "cut prompts longer than the context")
      .option("--report", flags.report,
              "folder for example pictures and what they were taken for; of folders also a table "
              "of all classes and one of all confusions")
      .option(
          "--labels-file", flags.labels_file,
          "names for classes in folders: lines \"folder<TAB>name\", or names alone in the order "
          "of the folders (default: the folders' own)")
      .option("--batch-size", flags.batch_size, "pictures at a time", kAtLeastOne)
      .option("--max-bad-fraction", flags.max_bad_fraction,
              "stop when more pictures than this cannot be used", kFraction)
      .image_limits(flags.limits)
      .option("--workers", flags.workers, "threads that prepare batches", {0, 256})
      .json(flags.json)
      .threads();
}

}  // namespace

void add_eval(Commands& commands) {
  commands.add("eval", "zero-shot accuracy on labelled pictures, retrieval on pairs", declare, run);
}

}  // namespace diptych::cli
