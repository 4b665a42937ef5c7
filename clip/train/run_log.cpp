// clip/train/run_log.cpp — lines for people, records for programs.
#include "clip/train/run_log.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "clip/console.h"
#include "clip/train/tensorboard.h"
#include "clip/weights/run_folder.h"

namespace diptych {
namespace {

namespace fs = std::filesystem;

double unix_time() {
  const std::chrono::duration<double> since = std::chrono::system_clock::now().time_since_epoch();
  return since.count();
}

// JSON has no NaN: strict readers must be able to read every line.
nlohmann::ordered_json number(double x) {
  return std::isfinite(x) ? nlohmann::ordered_json(x)
                          : nlohmann::ordered_json(fmt::format("{}", x));
}

std::string to_json(const StepRecord& r) {
  nlohmann::ordered_json line{{"step", r.step},
                              {"epoch", r.epoch},
                              {"samples", r.samples},
                              {"loss", number(r.loss)},
                              {"mean_loss", number(r.mean_loss)},
                              {"chance_loss", r.chance_loss},
                              {"loss_floor", r.loss_floor},
                              {"lr", r.lr},
                              {"grad_norm", number(r.grad_norm)},
                              {"logit_scale", r.logit_scale},
                              {"pairs_per_second", number(r.pairs_per_second)},
                              {"data_wait", number(r.data_wait)},
                              {"eta_seconds", number(r.eta_seconds)},
                              {"bad_samples", r.bad_samples},
                              {"truncated", r.truncated},
                              {"skipped", r.skipped}};
  if (r.loss_scale > 0) line["loss_scale"] = r.loss_scale;
  if (r.vanished >= 0) line["vanished_moments"] = r.vanished;
  return line.dump();
}

std::string to_line(const StepRecord& r) {
  std::string text = fmt::format(
      "step {}/{} | epoch {} | {} pairs | loss {:.4f}{} | mean {:.4f} | lr {:.2e} | grad norm "
      "{:.3f} | scale "
      "{:.2f} | {:.0f} pairs/s | data wait {:.1f} % | ETA {}",
      r.step, r.steps, r.epoch, r.samples, r.loss,
      r.step == 1 ? fmt::format(" ({} {:.4f})", r.sigmoid ? "chance" : "ln B =", r.chance_loss)
                  : "",
      r.mean_loss, r.lr, r.grad_norm, r.logit_scale, r.pairs_per_second, 100 * r.data_wait,
      duration(r.eta_seconds));
  if (r.bad_samples) text += fmt::format(" | {} bad", r.bad_samples);
  if (r.loss_scale > 0) text += fmt::format(" | loss scale {:.0f}", r.loss_scale);
  if (r.skipped) text += fmt::format(" | {} skipped", r.skipped);
  if (r.vanished >= 0) text += fmt::format(" | {:.2f} % of v lost", 100 * r.vanished);
  return text;
}

}  // namespace

RunLog::RunLog(const std::string& folder, bool resume, bool echo) : folder_(folder), echo_(echo) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  check(!failed, "train: cannot create '", folder, "': ", failed.message());
  lock_ = ::open((folder + "/lock").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
  check(lock_ >= 0 && ::flock(lock_, LOCK_EX | LOCK_NB) == 0, "train: '", folder,
        "' is in use by another run");
  tidy_run(folder);
  check(resume || checkpoints(folder).empty(), "train: '", folder,
        "' holds a run already; choose another --name, or continue it with --resume latest");
  end_last_line(folder + "/out.log");
}

RunLog::~RunLog() {
  if (lock_ >= 0) ::close(lock_);
}

void RunLog::continue_from(int64_t step, const std::string& bad_samples) {
  bad_ = BadSamples(bad_samples);
  const std::string metrics = folder_ + "/metrics.jsonl";
  if (step > 0 && !is_there(metrics)) line("warning: '" + metrics + "' is gone; it begins anew");
  if (const int64_t damaged = cut_metrics(metrics, step); damaged > 0)
    line(
        fmt::format("warning: {} lines of '{}' were no records and are dropped", damaged, metrics));
  replace_record(folder_ + "/bad_samples.tsv", bad_samples);
  if (to_tensorboard_) begin_events(step + 1);
}

// A folder that cannot be made is told like any file that cannot be written.
void RunLog::begin_events(int64_t first_step) {
  const std::string folder = folder_ + "/tensorboard";
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (events_.empty())
    events_ = "tensorboard/" + new_event_file(folder, static_cast<int64_t>(unix_time()));
  append(events_, session_start(unix_time(), first_step));
}

void RunLog::append(const std::string& file, const std::string& text) {
  files_.try_emplace(file, folder_ + '/' + file).first->second.append(text);
}

std::string RunLog::losses() {
  std::string text;
  for (auto& [name, file] : files_) {
    file.flush();
    if (file.lost() == 0) continue;
    text += fmt::format("{}{} lines of '{}': {}", text.empty() ? "" : ", ", file.lost(),
                        file.path(), file.reason());
  }
  return text;
}

void RunLog::line(const std::string& text) {
  if (progress_) progress_->clear();
  if (echo_) tell(fmt::format("{}\n", text));
  append("out.log", text + '\n');
}

void RunLog::detail(const std::string& text) { append("out.log", text + '\n'); }

void RunLog::step(const StepRecord& record) {
  line(to_line(record));
  metrics(to_json(record));
}

void RunLog::metrics(const std::string& record) {
  const std::string json =
      record.substr(0, record.rfind('}')) + fmt::format(",\"time\":\"{}\"}}", utc_now());
  append("metrics.jsonl", json + '\n');
  if (events_.empty()) return;
  const std::string event = event_of_line(unix_time(), json);
  if (!event.empty()) append(events_, event);
}

void RunLog::bad_sample(const BadSample& bad) {
  if (const std::string line = bad_.add(bad); !line.empty()) append("bad_samples.tsv", line);
}

void RunLog::show_progress(int64_t done, int64_t total, const std::string& note) {
  if (!progress_) progress_ = std::make_unique<Progress>("step", total, /*quiet=*/true);
  progress_->update(done, note);
}

}  // namespace diptych
