// clip/train/run_log.h — what a run tells: console, out.log, metrics.jsonl, bad_samples.tsv, event
// files.
#pragma once

#include <cmath>
#include <map>
#include <memory>
#include <string>

#include "clip/train/log_file.h"
#include "clip/train/progress.h"
#include "clip/train/run_records.h"

namespace diptych {

/// One line per logged step: the console line is derived from it, and so is the line of
/// metrics.jsonl.
struct StepRecord {
  int64_t step = 0, steps = 0, epoch = 0, samples = 0;
  double loss = 0;
  double mean_loss = 0;    ///< over the steps since the last line
  double loss_floor = 0;   ///< see loss_floor(); 0 if every caption is another
  double chance_loss = 0;  ///< ln B, or of sigmoid: what a model has that knows nothing
  bool sigmoid = false;    ///< which loss it is
  double lr = 0, grad_norm = 0,
         logit_scale = 0;  ///< logit_scale as the factor, exp of the parameter
  double pairs_per_second = 0;
  double data_wait = 0;  ///< share of the time spent waiting for the loader, 0 … 1
  double eta_seconds = 0;
  int64_t bad_samples = 0, truncated = 0;
  int64_t skipped = 0;    ///< steps passed over, of the whole run
  double loss_scale = 0;  ///< of f16 gradients; 0: none
  double vanished = -1;   ///< share of second moments that this step lost to f16; -1: none is f16
};

/// Loss and norm are numbers.
inline bool is_finite(const StepRecord& r) {
  return std::isfinite(r.loss) && std::isfinite(r.grad_norm);
}

/// The folder logs/<name> of a run, locked while this object lives.
class RunLog {
 public:
  /// Creates the folder, and deletes what a process that died in the middle of a save left there.
  /// Throws Error if it holds checkpoints already (unless `resume`) or if another process is
  /// writing to it. A folder without any checkpoint is one where nothing was saved: a run may
  /// begin there.
  RunLog(const std::string& folder, bool resume, bool echo = true);
  ~RunLog();
  RunLog(const RunLog&) = delete;
  RunLog& operator=(const RunLog&) = delete;

  const std::string& folder() const { return folder_; }
  /// From where the run goes on, what metrics.jsonl gets TensorBoard gets too: in a new event file
  /// in <folder>/tensorboard.
  void report_to_tensorboard() { to_tensorboard_ = true; }
  /// Brings metrics.jsonl and bad_samples.tsv to what they were at that step, where this process
  /// goes on: what an earlier one recorded after it will be recorded again. out.log keeps all that
  /// was ever told.
  void continue_from(int64_t step, const std::string& bad_samples);
  void line(const std::string& text);    ///< to stderr and out.log
  void detail(const std::string& text);  ///< to out.log alone: long lists
  void step(const StepRecord&);          ///< to stderr, out.log and metrics.jsonl
  /// One object as a line of metrics.jsonl, with the time added to it.
  void metrics(const std::string& json);
  /// Names a sample in bad_samples.tsv, once.
  void bad_sample(const BadSample&);
  const BadSamples& bad_samples() const { return bad_; }

  /// Tries once more to write what could not be, and says what still cannot, and why: "3 lines of
  /// …/metrics.jsonl: …"; empty if nothing.
  std::string losses();

  /// A bar below the last line, on a terminal.
  void show_progress(int64_t done, int64_t total, const std::string& note);

 private:
  void append(const std::string& file, const std::string& text);
  void begin_events(int64_t first_step);

  std::string folder_;
  bool to_tensorboard_ = false;
  std::string events_;  // the event file, in folder_
  std::map<std::string, LogFile> files_;
  BadSamples bad_;
  bool echo_;
  int lock_ = -1;
  std::unique_ptr<Progress> progress_;
};

}  // namespace diptych
