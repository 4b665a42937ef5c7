// clip/train/run_records.h — what the files of a run keep when it goes on from a checkpoint.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "data/loader.h"

namespace diptych {

/// Samples that were left out, each once: the lines of bad_samples.tsv, which are an index, a name
/// and a reason.
class BadSamples {
 public:
  BadSamples() = default;
  explicit BadSamples(const std::string& lines);

  /// The line of a sample that is new; empty for one that is known.
  std::string add(const BadSample&);
  int64_t size() const { return static_cast<int64_t>(indices_.size()); }
  const std::string& lines() const { return lines_; }

 private:
  std::set<int64_t> indices_;
  std::string lines_;
};

/// Keeps of metrics.jsonl the records of the steps 1 … `step`, one each. Later ones are of steps
/// that will be taken again; half lines are what a crash or a full disk left. Throws Error if the
/// file cannot be replaced; then it is as before.
/// Returns how many lines were no records.
int64_t cut_metrics(const std::string& path, int64_t step);

/// Makes a file hold `text`, or be gone if that is empty. Throws Error like cut_metrics(). Both
/// follow links, and leave devices and pipes, where somebody put one, as they are.
void replace_record(const std::string& path, const std::string& text);

/// Ends a last line that a crash cut off, so that the next one does not continue it.
void end_last_line(const std::string& path);

}  // namespace diptych
