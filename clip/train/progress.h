// clip/train/progress.h — how far along: a bar on a terminal, plain lines elsewhere.
#pragma once

#include <cstdint>
#include <string>

namespace diptych {

/// Shows nothing during the first two seconds. On a terminal, a bar without colours, with rate
/// and time left, redrawn at most ten times a second; elsewhere a line every ten seconds, or none
/// if `quiet`.
class Progress {
 public:
  Progress(std::string what, int64_t total, bool quiet = false);
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(int64_t done, const std::string& note = "");
  void clear();  ///< takes the bar off the terminal, so that a line can be printed

 private:
  std::string what_;
  int64_t total_, first_ = -1;
  bool terminal_, quiet_, shown_ = false;
  double started_, last_ = 0;
};

double seconds_now();                  ///< of a clock that only goes forward
std::string utc_now();                 ///< "2026-01-31T12:34:56Z"
std::string duration(double seconds);  ///< "0:07", "12:34", "3:05:00", "?" if not finite

}  // namespace diptych
