// tests/torture.h — a small run with a known end, to be disturbed again and again.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tests/program.h"
#include "tests/trace.h"

namespace diptych::test {

/// What a disturbed run came to.
struct Verdict {
  std::string fault;  ///< what is wrong, in words; empty if nothing is
  enum Way { none, restarted, resumed } way = none;  ///< how it came to its end
};

/// A run of eight pictures, undisturbed once, so that every checkpoint it should write is known to
/// the bit. Further runs of the same name begin in its folder anew.
class Ordeal {
 public:
  explicit Ordeal(int epochs, const std::string& more = "");

  std::vector<std::string> command(bool resume = false) const;  ///< argv
  std::string shell_line(bool resume = false) const;
  std::string folder() const { return dir_ / "run"; }
  void clear() const;  ///< removes the folder of the run

  bool keeps_one() const { return flags_.find("--keep 1") != flags_.npos; }
  int64_t steps() const { return reference_.rbegin()->first; }
  /// Steps of the checkpoints that are there to see, whole or not.
  std::vector<int64_t> visible() const;
  bool same_bits(int64_t step) const;  ///< as the undisturbed run's
  /// What is wrong with the checkpoints that are there: each must be the undisturbed run's, or
  /// agree with its manifest if that one saved none there.
  std::string damage() const;
  /// How many steps metrics.jsonl has, each once and in order; -1 if it has anything else.
  int64_t logged() const;
  /// What is wrong with metrics.jsonl: it must have every step once.
  std::string log_fault() const;
  /// Runs the same command, if need be with --resume latest, to the end: it must be the same end.
  Verdict finish() const;

  /// A run under `decide`, beginning anew.
  TracedEnd traced(const std::function<Fate(const SystemCall&)>& decide) const;
  /// Its system calls, from the first in its folder on.
  std::vector<SystemCall> calls() const;
  bool is_ours(const SystemCall& call) const { return call.path.find(folder()) == 0; }

 private:
  std::string files_of(int64_t step) const;

  TempDir dir_;
  std::string flags_;
  std::map<int64_t, std::string> reference_;  // the files of each checkpoint
};

/// Which of many cases a test tries: all of them, or few in `make test`.
class Selection {
 public:
  /// DIPTYCH_TORTURE=N: all cases, and N moments; else about `few` of `all`.
  Selection(size_t all, size_t few);
  bool takes(size_t i) const { return i % stride_ == stride_ / 2; }

  static int64_t moments(int64_t few);  ///< N, or few

 private:
  size_t stride_;
};

/// A row of the table that `make torture` prints.
class Row {
 public:
  explicit Row(std::string what) : what_(std::move(what)) {}
  ~Row();  ///< prints it, if there is a table
  Row(const Row&) = delete;
  Row& operator=(const Row&) = delete;
  /// Counts a case and requires that nothing is wrong with it.
  void add(const std::string& where, const Verdict&);

 private:
  std::string what_;
  int64_t tried_ = 0, wrong_ = 0, restarted_ = 0, resumed_ = 0;
};

}  // namespace diptych::test
