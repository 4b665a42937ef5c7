// clip/curves/history.cpp — lines of a file that may be growing, sorted into curves.
#include "clip/curves/history.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>

#include "clip/curves/record.h"
#include "tensor/io/file.h"
#include "tensor/io/text_file.h"
#include "tensor/types.h"

namespace diptych::curves {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMostBytes = int64_t{1} << 30;
constexpr size_t kLongestLine = size_t{1} << 16, kMostNames = 256, kMostRuns = 64;

using TakeLine = std::function<void(const std::string& line, bool ended)>;

/// Cuts pieces of text into lines, each cut behind the byte that makes it too long.
class Lines {
 public:
  explicit Lines(TakeLine take) : take_(std::move(take)) {}
  void feed(std::string_view text) {
    for (size_t end; (end = text.find('\n')) != text.npos; text.remove_prefix(end + 1)) {
      keep(text.substr(0, end));
      take_(line_, true);
      line_.clear();
    }
    keep(text);
  }
  void finish() const {
    if (!line_.empty()) take_(line_, false);
  }

 private:
  void keep(std::string_view text) { line_ += text.substr(0, kLongestLine + 1 - line_.size()); }

  TakeLine take_;
  std::string line_;
};

void each_line(const InputFile& file, TakeLine take) {
  Lines lines(std::move(take));
  read_pieces(file, [&lines](std::string_view piece) { lines.feed(piece); });
  lines.finish();
}

// Steps only grow in it.
void drop_from(Series& series, int64_t step) {
  const auto before = [](const Point& point, int64_t s) { return point.step < s; };
  series.erase(std::lower_bound(series.begin(), series.end(), step, before), series.end());
}

/// Collects the records of one file.
class Collector {
 public:
  explicit Collector(History& history) : history_(history) {}

  // Half a line is no damage: whoever writes it has not finished.
  void take(const std::string& line, bool ended) {
    ++line_;
    try {
      check(line.size() <= kLongestLine, "longer than ", kLongestLine, " bytes");
      add(record_of(line));
    } catch (const Error& error) {
      if (!ended) history_.unfinished = true;
      if (!ended || history_.damaged++ > 0) return;
      history_.first_damaged = fmt::format("line {}: {}", line_, error.what());
    }
  }

 private:
  void add(const Record& record) {
    for (const auto& [name, unused] : record.values)
      check(history_.series.contains(name) || history_.series.size() < kMostNames, "more than ",
            kMostNames, " kinds of figures");
    for (const std::string& key : record.unread)
      if (history_.unread.size() < kMostNames) history_.unread.insert(key);
    begin(record);
    for (const auto& [name, y] : record.values)
      history_.series[name].push_back({record.step, record.samples, y});
  }

  // A step of training that is taken again takes the validations behind it with it.
  void begin(const Record& record) {
    const bool again = record.training && !steps_.empty() && record.step <= steps_.back();
    if (again) forget(steps_, false, record.step);
    if (again || record.validation) forget(validations_, true, record.step);
    if (record.training) steps_.push_back(record.step);
    if (record.validation) validations_.push_back(record.step);
    history_.records = static_cast<int64_t>(steps_.size() + validations_.size());
  }

  void forget(std::vector<int64_t>& steps, bool validation, int64_t step) {
    const auto first = std::lower_bound(steps.begin(), steps.end(), step);
    history_.taken_again += steps.end() - first;
    steps.erase(first, steps.end());
    for (auto& [name, series] : history_.series)
      if (name.starts_with("val/") == validation) drop_from(series, step);
  }

  History& history_;
  int64_t line_ = 0;
  std::vector<int64_t> steps_, validations_;  // of the records that are in the series
};

// "logs/a/" and "." have a name too.
std::string name_of(const std::string& folder) {
  std::error_code none;
  const fs::path whole = fs::weakly_canonical(folder, none);
  return none || whole.filename().empty() ? folder : whole.filename().string();
}

void require_run(const std::string& folder) {
  check(is_folder(folder), "curves: '", folder, "' is no folder; give those of runs, logs/<name>");
  for (const char* file : {"/metrics.jsonl", "/params.json", "/out.log"})
    if (is_there(folder + file)) return;
  fail("curves: '", folder,
       "' is no run: it has neither metrics.jsonl nor params.json; give the folder that `diptych "
       "train` named, logs/<name>");
}

void check_different(const std::vector<std::string>& folders) {
  std::map<std::string, std::string> seen;
  for (const std::string& folder : folders) {
    std::error_code none;
    const auto [it, fresh] = seen.emplace(fs::canonical(folder, none).string(), folder);
    check(fresh, "curves: '", folder, "' is given twice",
          it->second == folder ? "" : ", also as '" + it->second + "'");
  }
}

}  // namespace

const Series& History::of(const std::string& wanted) const {
  static const Series kNone;
  const auto it = series.find(wanted);
  return it == series.end() ? kNone : it->second;
}

int64_t History::not_finite(const std::string& wanted) const {
  const Series& all = of(wanted);
  return std::count_if(all.begin(), all.end(), [](const Point& p) { return !std::isfinite(p.y); });
}

History read_history(const std::string& folder) {
  require_run(folder);
  History history;
  history.folder = folder;
  history.name = name_of(folder);
  const std::string path = folder + "/metrics.jsonl";
  if (!is_there(path)) return history;
  const InputFile file("curves", path);
  check(file.size() <= kMostBytes, "curves: '", path, "' holds ", file.size(), " bytes, more than ",
        kMostBytes);
  Collector collector(history);
  each_line(file, [&](const std::string& line, bool ended) { collector.take(line, ended); });
  return history;
}

std::vector<History> read_histories(const std::vector<std::string>& folders) {
  check(folders.size() <= kMostRuns, "curves: ", folders.size(),
        " runs are more than a picture can show; give at most ", kMostRuns);
  std::vector<History> runs;
  std::map<std::string, int> names;
  for (const std::string& folder : folders) runs.push_back(read_history(folder));
  check_different(folders);
  for (const History& run : runs) ++names[run.name];
  for (History& run : runs)
    if (names[run.name] > 1) run.name = run.folder;
  return runs;
}

}  // namespace diptych::curves
