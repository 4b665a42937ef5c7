// clip/cli/account.cpp — sentences about what was left out.
#include "clip/cli/account.h"

#include <fmt/core.h>

#include "clip/console.h"
#include "clip/eval/prompts.h"
#include "clip/weights/quoted_list.h"
#include "data/text/lengths.h"
#include "tensor/io/file.h"

namespace diptych::cli {

std::string left_out_line(const Accounting& a) {
  if (a.left_out.empty()) return {};
  return fmt::format("{} of {} pictures were left out: {}\n", a.left_out.size(), a.listed,
                     naming(a.left_out));
}

std::string others_line(const std::vector<std::string>& others) {
  if (others.empty()) return {};
  return fmt::format("{} other files are no pictures, the first is {}\n", others.size(),
                     in_quotes(others[0]));
}

std::string empty_classes_line(const std::vector<std::string>& empty, size_t classes) {
  constexpr size_t kNamed = 8;
  if (empty.empty()) return {};
  return fmt::format("{} of {} class folders {} no picture, but a name to choose from: {}\n",
                     empty.size(), classes, empty.size() == 1 ? "has" : "have",
                     quoted_list(empty, kNamed));
}

void tell_cut(const Tokenizer& words, const Texts& texts, int64_t context) {
  const TextLengths found = measure_lengths(words, texts, context);
  if (found.longer == 0) return;
  tell(fmt::format("{} of {} texts were cut to the context of {} tokens, the first is {}\n",
                   found.longer, found.texts, context, in_quotes(found.first_longer)));
}

void tell_cut(const Tokenizer& words, const std::vector<std::string>& texts, int64_t context) {
  tell_cut(words, texts_of(texts), context);
}

void tell_repeated(const std::vector<std::string>& labels) {
  const std::string repeated = repeated_labels(labels);
  if (repeated.empty()) return;
  tell(fmt::format("warning: {}; each is a class of its own, and the first has what fits both\n",
                   repeated));
}

}  // namespace diptych::cli
