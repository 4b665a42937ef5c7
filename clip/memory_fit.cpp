// clip/memory_fit.cpp — whether a training step fits in memory, and what would make it fit.
#include <fmt/core.h>

#include "clip/memory.h"

namespace diptych {
namespace {

int64_t taken(const ModelConfig& c, const TrainingSetup& setup) {
  return training_memory(c, setup).with_blocks();
}

std::string gib(int64_t bytes) {
  return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / (1 << 30));
}

std::string advice(const ModelConfig& c, TrainingSetup setup, int64_t limit) {
  if (const int64_t K = smallest_accum_freq(c, setup, limit); K > 0) {
    setup.accum_freq = K;
    return fmt::format("--accum-freq {} would take {}", K, gib(taken(c, setup)));
  }
  setup.accum_freq = setup.pairs;
  return fmt::format(
      "no --accum-freq makes that fit, one pair at a time takes {}; choose {}a "
      "smaller --batch-size or a smaller --model",
      gib(taken(c, setup)), setup.checkpointing ? "" : "--grad-checkpointing, ");
}

}  // namespace

// More parts never take more: found by halving.
int64_t smallest_accum_freq(const ModelConfig& c, TrainingSetup setup, int64_t limit) {
  const auto fits_in = [&](int64_t K) {
    setup.accum_freq = K;
    return taken(c, setup) <= limit;
  };
  if (fits_in(1)) return 1;
  if (!fits_in(setup.pairs)) return 0;
  int64_t low = 1, high = setup.pairs;
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    (fits_in(middle) ? high : low) = middle;
  }
  return high;
}

void check_fits(const ModelConfig& c, const TrainingSetup& setup, int64_t limit) {
  const int64_t bytes = taken(c, setup);
  if (bytes <= limit) return;
  fail("memory: a step of ", setup.pairs, " pairs", setup.accum_freq > 1 ? " in " : "",
       setup.accum_freq > 1 ? std::to_string(setup.accum_freq) + " parts" : "", " takes ",
       gib(bytes), ", and ", gib(limit), " are there; ", advice(c, setup, limit));
}

}  // namespace diptych
