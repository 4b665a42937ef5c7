// clip/train/progress.cpp — how far along.
#include "clip/train/progress.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <utility>

#include "clip/console.h"

namespace diptych {

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", utc.tm_year + 1900, utc.tm_mon + 1,
                     utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec);
}

std::string duration(double seconds) {
  if (!std::isfinite(seconds)) return "?";
  const auto s = static_cast<int64_t>(std::llround(std::max(0.0, seconds)));
  if (s < 3600) return fmt::format("{}:{:02}", s / 60, s % 60);
  return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
}

Progress::Progress(std::string what, int64_t total, bool quiet)
    : what_(std::move(what)),
      total_(std::max<int64_t>(total, 1)),
      terminal_(isatty(STDERR_FILENO)),
      quiet_(quiet),
      started_(seconds_now()) {}

void Progress::update(int64_t done, const std::string& note) {
  const double time = seconds_now(), span = time - started_;
  if (first_ < 0) first_ = done;
  if (span < 2 || (quiet_ && !terminal_) || time - last_ < (terminal_ ? 0.1 : 10)) return;
  last_ = time;
  const double rate = static_cast<double>(done - first_) / span;
  const std::string left = duration(rate > 0 ? static_cast<double>(total_ - done) / rate : NAN);
  const std::string text = fmt::format("{} {}/{} | {:.1f}/s | ETA {}{}{}", what_, done, total_,
                                       rate, left, note.empty() ? "" : " | ", note);
  if (!terminal_) {
    tell(fmt::format("{}\n", text));
    return;
  }
  constexpr int64_t kWidth = 24;
  const auto filled = static_cast<size_t>(kWidth * std::min(done, total_) / total_);
  tell(fmt::format("\r\033[K[{}{}] {}", std::string(filled, '#'), std::string(kWidth - filled, '.'),
                   text));
  std::fflush(stderr);
  shown_ = true;
}

void Progress::clear() {
  if (shown_) tell("\r\033[K");
  shown_ = false;
}

}  // namespace diptych
