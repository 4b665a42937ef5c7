// clip/cli/bench.h — timing, and the benchmarks of single kernels.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tensor/types.h"

namespace diptych::cli {

struct Timing {
  double median = 0, quartile1 = 0, quartile3 = 0;  // seconds
};

/// Of one call; `steps` of them are timed, each until the device is done, after one to warm up. On
/// cuda after five, and short calls in groups.
Timing measure(int64_t steps, Device, const std::function<void()>& f);

/// A line of a table: the same keys in each.
struct Row {
  std::string name;
  std::vector<std::pair<std::string, double>> values;
};

/// What the machine can do: GFLOP/s of multiply-adds in registers (on cuda: of a product of 8192 x
/// 8192 matrices, f32, then bf16), GB/s of y += a x in memory.
std::vector<Row> bench_peak(int64_t steps, Device);
/// Sizes, milliseconds and GFLOP/s of a product per row; on the CPU in f32 and beside it in bf16.
std::vector<Row> bench_gemm(int64_t steps, Device);
/// GB/s of what is bound by memory, in f32 and bf16: bytes that must be read and written, over
/// time.
std::vector<Row> bench_ops(int64_t steps, Device);
/// Sizes of a 3 × 3 convolution at batch 8, and GFLOP/s forward and of both gradients.
std::vector<Row> bench_conv(int64_t steps, Device);

}  // namespace diptych::cli
