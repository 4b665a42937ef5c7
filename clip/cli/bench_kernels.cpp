// clip/cli/bench_kernels.cpp — GFLOP/s of matrix products and convolutions.
#include <algorithm>

#include "autograd/ops.h"
#include "clip/cli/bench.h"
#include "clip/progress.h"
#include "tensor/kernels.h"

namespace diptych::cli {

Timing measure(int64_t steps, const std::function<void()>& f) {
  f();
  std::vector<double> times;
  for (int64_t i = 0; i < steps; ++i) {
    const double start = seconds_now();
    f();
    times.push_back(seconds_now() - start);
  }
  std::sort(times.begin(), times.end());
  const size_t n = times.size();
  return {times[n / 2], times[n / 4], times[3 * n / 4]};
}

std::vector<Row> bench_gemm(int64_t steps) {
  struct Product {
    int64_t M, K, N;
  };
  std::vector<Row> rows;
  const NoGrad no_grad;
  for (const auto& [M, K, N] : {Product{128, 96, 128},
                                {6400, 96, 288},
                                {6400, 384, 96},
                                {384, 6400, 96},
                                {800, 768, 3072},
                                {1024, 1024, 1024},
                                {2048, 2048, 2048}}) {
    const Tensor a = randn({M, K}, {0, 1}), b = randn({K, N}, {0, 2});
    const Timing t = measure(steps, [&] { matmul(a, b); });
    rows.push_back({{"M", static_cast<double>(M)},
                    {"K", static_cast<double>(K)},
                    {"N", static_cast<double>(N)},
                    {"ms", 1e3 * t.median},
                    {"gflops", 2e-9 * static_cast<double>(M * K * N) / t.median}});
  }
  return rows;
}

std::vector<Row> bench_conv(int64_t steps) {
  struct Conv {
    int64_t side, in, out, stride;
  };
  constexpr int64_t B = 8, k = 3;
  std::vector<Row> rows;
  for (const auto& [side, in, out, stride] : {Conv{224, 3, 32, 2},
                                              {112, 32, 64, 1},
                                              {56, 64, 64, 1},
                                              {28, 128, 128, 1},
                                              {14, 256, 256, 1},
                                              {7, 512, 512, 1}}) {
    const Window window{stride, 1};
    const int64_t places = window.places(side, k);
    const Tensor x = randn({B, side, side, in}, {0, 1}), w = randn({out, k, k, in}, {0, 2});
    Tensor y = empty({B, places, places, out}), dx = empty_like(x), dw = empty_like(w);
    const double gflop = 2e-9 * static_cast<double>(B * places * places * k * k * in * out);
    const auto speed = [&](const auto& f) { return gflop / measure(steps, f).median; };
    rows.push_back(
        {{"side", static_cast<double>(side)},
         {"in", static_cast<double>(in)},
         {"out", static_cast<double>(out)},
         {"stride", static_cast<double>(stride)},
         {"forward", speed([&] { kernel::conv2d(x.device(), x, w, window, y); })},
         {"dx", speed([&] { kernel::conv2d_grad_input(x.device(), y, w, window, dx); })},
         {"dw", speed([&] { kernel::conv2d_grad_weight(x.device(), x, y, window, dw); })}});
  }
  return rows;
}

}  // namespace diptych::cli
