// clip/cli/train_notes.cpp — warnings about captions, data and version.
#include "clip/cli/train_notes.h"

#include <fmt/core.h>

#include <algorithm>
#include <unordered_map>

#include "clip/cli/account.h"
#include "clip/config.h"
#include "clip/version.h"
#include "data/text/lengths.h"
#include "tensor/io/file.h"

namespace diptych::cli {
namespace {

constexpr int64_t kLookedAt = 10000;

int64_t count(const Texts& texts) {
  int64_t n = 0;
  texts([&n](std::string_view) { ++n; });
  return n;
}

// The first model by name that reads as many tokens, or the most there are.
std::string advice(int64_t longest, int64_t context) {
  std::string best;
  int64_t most = context;
  for (const std::string& name : preset_names()) {
    const int64_t reads = preset(name).text.context_length;
    if (most >= longest || reads <= most) continue;
    best = name;
    most = reads;
  }
  return best.empty() ? "shorten them"
                      : fmt::format("--model {} reads {}, or shorten them", best, most);
}

// A line of a log ends by itself.
std::string note_of(std::string line) {
  if (line.ends_with('\n')) line.pop_back();
  return line;
}

}  // namespace

std::string shared_pictures_note(Positives positives, const DataSource& data) {
  if (positives != Positives::key) return {};
  std::unordered_map<std::string, int64_t> times;
  data.pictures([&times](std::string_view path) { ++times[std::string(path)]; });
  int64_t shared = 0;
  for (const auto& [path, n] : times) shared += n > 1 ? n : 0;
  return fmt::format("{} of {} pairs share their picture with another{}", shared,
                     data.dataset->size(),
                     shared ? "" : ": --positives key changes nothing with these data");
}

std::string cut_captions_note(const std::string& model, const Tokenizer& words,
                              const Texts& captions, int64_t context) {
  const int64_t stride = std::max<int64_t>(1, count(captions) / kLookedAt);
  const TextLengths found = measure_lengths(words, captions, context, stride);
  if (found.longer == 0) return {};
  return fmt::format(
      "warning: {:.1f} % of the captions ({} of {}{}) have more than the {} tokens that {} reads{} "
      "and lose their tail, the first is {}; the longest has {}; {}",
      100.0 * static_cast<double>(found.longer) / static_cast<double>(found.texts), found.longer,
      found.texts, stride > 1 ? " looked at" : "", context, model,
      words.vocab_size() == Tokenizer::kSmallest ? ", each letter one," : "",
      in_quotes(found.first_longer), found.longest, advice(found.longest, context));
}

std::string version_note(const std::string& begun_by) {
  if (begun_by == kVersion) return {};
  return fmt::format(
      "warning: the run was begun by diptych {}, this is {}: its last bits may come out "
      "differently",
      begun_by, kVersion);
}

std::string left_out_note(const DataSource& data) {
  const auto lost = static_cast<int64_t>(data.left_out.size());
  const Accounting account{data.dataset->size() + lost, data.dataset->size(), data.left_out};
  return note_of(left_out_line(account) + others_line(data.others));
}

std::string empty_classes_note(const ValidationData& data) {
  const std::string line = empty_classes_line(data.empty_classes, data.class_names.size());
  return line.empty() ? "" : "validation: " + note_of(line);
}

}  // namespace diptych::cli
