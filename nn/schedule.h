// nn/schedule.h — learning rates as pure functions of the step.
#pragma once

#include <cmath>
#include <cstdint>

namespace diptych::nn {

/// Linear warm-up, then half a cosine to zero (open_clip_train/scheduler.py): for step = 0, 1, …
///   lr (step + 1) / warmup                                          while step < warmup
///   lr (1 + cos(π (step - warmup) / (total - warmup))) / 2          after
inline double cosine_with_warmup(int64_t step, double lr, int64_t warmup, int64_t total) {
  const auto s = static_cast<double>(step), w = static_cast<double>(warmup);
  if (step < warmup) return lr * (s + 1) / w;
  if (step >= total) return 0;
  return 0.5 * (1 + std::cos(3.14159265358979323846 * (s - w) / (static_cast<double>(total) - w))) *
         lr;
}

}  // namespace diptych::nn
