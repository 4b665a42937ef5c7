// clip/cli/bench.h — timing, and the benchmarks of single kernels.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>

namespace diptych::cli {

using Json = nlohmann::ordered_json;

struct Timing {
  double median = 0, quartile1 = 0, quartile3 = 0;  // seconds
};

/// One call to warm up, then `steps` timed ones.
Timing measure(int64_t steps, const std::function<void()>& f);

// Each: {"bench", "threads", "rows": one object per shape}
Json bench_gemm(int64_t steps);
Json bench_conv(int64_t steps);

/// Rows of equal keys as a table.
void print_table(const Json& rows);

}  // namespace diptych::cli
