// nn/schedule.h — learning rates as pure functions of the step.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace diptych::nn {

/// How the rate goes on after a linear warm-up, which for step = 0, 1, … < warmup is
/// lr (step + 1) / warmup. Names and formulas: open_clip_train/scheduler.py; `linear` is ours.
///   cosine          lr (1 + cos(π x)) / 2,  x = (step - warmup) / (total - warmup)
///   const           lr
///   const-cooldown  lr, and in the last `cooldown` steps
///                   end + (lr - end) (1 - y)^power,  y = (step - total + cooldown) / cooldown
///   linear          lr (1 - x)
struct Schedule {
  std::string name = "cosine";
  int64_t warmup = 0, total = 0;  ///< steps
  int64_t cooldown = 0;           ///< steps
  double power = 1, end = 0;      ///< of the cool-down
};

/// The names above.
const std::vector<std::string>& schedule_names();
/// The rate of a step; 0 from `total` on, but for `const`. Throws Error if there is no schedule of
/// that name.
double rate_at(const Schedule&, double lr, int64_t step);

inline double cosine_with_warmup(int64_t step, double lr, int64_t warmup, int64_t total) {
  return rate_at({"cosine", warmup, total}, lr, step);
}

}  // namespace diptych::nn
