// tensor/cpu/upcoming.h — memory that is fetched a few lines at a time along with other work.
#pragma once

#include <cstdint>

namespace diptych::cpu {

/// Runs of contiguous bytes that will be read soon. A processor follows some two dozen lines on
/// their way from memory and drops further prefetches: so they are asked for in small parts.
class Upcoming {
 public:
  Upcoming() = default;
  /// `runs` runs of `bytes` bytes, `step` bytes apart, to be fetched by that many calls, at
  /// least 1.
  Upcoming(const void* data, int64_t runs, int64_t step, int64_t bytes, int64_t calls)
      : runs_(bytes > 0 ? runs : 0), step_(step), bytes_(bytes) {
    each_ = (runs_ * (bytes / kLine + 2) + calls - 1) / calls;
    begin(static_cast<const char*>(data));
  }

  void fetch_some() {
    for (int64_t i = 0; i < each_ && runs_ > 0; ++i) {
      __builtin_prefetch(line_, 0, 2);
      line_ += kLine;
      if (line_ < run_ + bytes_) continue;
      --runs_;
      begin(run_ + step_);
    }
  }

 private:
  static constexpr int64_t kLine = 64;

  void begin(const char* run) {
    run_ = run;
    line_ = run - reinterpret_cast<uintptr_t>(run) % kLine;
  }

  const char *run_ = nullptr, *line_ = nullptr;
  int64_t runs_ = 0, step_ = 0, bytes_ = 0, each_ = 0;
};

}  // namespace diptych::cpu
