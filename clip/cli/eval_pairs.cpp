// clip/cli/eval_pairs.cpp — `diptych eval` on pairs: whether pictures and captions find each other.
#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "clip/cli/account.h"
#include "clip/cli/eval.h"
#include "clip/console.h"
#include "clip/train/progress.h"
#include "clip/train/validation.h"
#include "tensor/io/file.h"

namespace diptych::cli {
namespace {

using Json = nlohmann::ordered_json;

void print_recall(const char* what, const Recall& r) {
  print(fmt::format("  {:<32} {:>8.2f} % {:>8.2f} % {:>8.2f} % {:>12.1f} {:>8}\n", what,
                    100 * r.at1, 100 * r.at5, 100 * r.at10, r.mean_rank, r.median_rank));
}

void print_table(const EvalFlags& flags, const ValidationResult& r) {
  print(fmt::format("retrieval on {}, {} pairs\n", flags.data, r.pictures));
  print(fmt::format("  {:<32} {:>10} {:>10} {:>10} {:>12} {:>8}\n", "", "R@1", "R@5", "R@10",
                    "mean rank", "median"));
  print_recall("the caption of a picture", *r.image_to_text);
  print_recall("the picture of a caption", *r.text_to_image);
  print(fmt::format("  loss in batches of {}: {:.4f}\n", flags.batch_size, *r.loss));
}

}  // namespace

bool holds_pairs(const EvalFlags& flags) {
  if (!is_folder(flags.data)) return true;
  try {
    open_pairs(flags.data, flags.columns);
    return true;
  } catch (const Error&) {
    return false;  // classes, or nothing: whoever opens it as such says so
  }
}

int eval_pairs(const EvalFlags& flags, LoadedModel& loaded) {
  const ValidationData data = open_validation_pairs(
      flags.data, flags.columns, loaded.model->config().preprocess, flags.limits);
  const auto elsewhere = static_cast<int64_t>(data.left_out.size());
  const int64_t listed = data.dataset->size() + elsewhere;
  check_accounting("eval", {listed, listed - elsewhere, data.left_out}, flags.max_bad_fraction);
  Progress progress("encode", data.dataset->size());
  ValidationOptions options{flags.batch_size, flags.workers, flags.max_bad_fraction};
  options.progress = [&](int64_t done) { progress.update(done); };
  const ValidationResult r = validate(*loaded.model, loaded.words(), data, options);
  progress.clear();
  check(r.truncated == 0 || flags.truncate, "eval: ", r.truncated, " of ", r.pictures,
        " captions are longer than the ", loaded.model->config().text.context_length,
        " tokens that the model reads; --truncate cuts them");
  if (r.truncated > 0) tell(fmt::format("{} captions were cut\n", r.truncated));
  const Accounting account{listed, r.pictures, r.left_out};
  check_accounting("eval", account, flags.max_bad_fraction);
  if (!flags.json) {
    print_table(flags, r);
    print(left_out_line(account));
    return 0;
  }
  Json object{{"dataset", flags.data},
              {"model", flags.model},
              {"pretrained", ""},
              {"task", "zeroshot_retrieval"},
              {"metrics", Json::parse(r.to_json())},
              {"pictures", r.pictures},
              {"language", "en"}};
  add_accounting(object, account);
  print_json(object);
  return 0;
}

}  // namespace diptych::cli
