// clip/curves/history.h — what metrics.jsonl tells of a run.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace diptych::curves {

/// A figure of a step; y may be NaN or infinite.
struct Point {
  int64_t step = 0;
  int64_t samples = 0;  ///< pairs seen until then
  double y = 0;
};

/// In the order of steps.
using Series = std::vector<Point>;

/// The curves of a run, and what of its file is in none.
struct History {
  std::string folder;
  std::string name;                      ///< the folder's, or as given where two would be alike
  std::map<std::string, Series> series;  ///< "loss", "lr", …; what "val" holds is "val/…"
  int64_t records = 0;                   ///< lines that are in the series
  int64_t taken_again = 0;               ///< records of steps that a later line tells again
  int64_t damaged = 0;                   ///< lines that are no records
  std::string first_damaged;             ///< "line 7: no JSON"; empty if none
  bool unfinished = false;               ///< the last line is half: it is being written, or was
  std::set<std::string> unread;          ///< keys that are neither drawn nor in the tables

  /// Of that name; empty if no record has it.
  const Series& of(const std::string& name) const;
  /// Values of it that are NaN or infinite.
  int64_t not_finite(const std::string& name) const;
};

/// Reads <folder>/metrics.jsonl as far as it goes now: somebody may be writing to it. A line that
/// is no record is counted. Of a step told twice the later record counts, and what came between
/// belongs to the run that was not continued. A run that has not told anything yet has no records.
/// Throws Error if the folder is no run, or the file cannot be read or holds more than 1 GiB.
History read_history(const std::string& folder);

/// The same for several, with names that tell them apart. Throws Error for a folder given twice,
/// and for more than 64.
std::vector<History> read_histories(const std::vector<std::string>& folders);

}  // namespace diptych::curves
