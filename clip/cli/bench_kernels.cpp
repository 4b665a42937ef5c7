// clip/cli/bench_kernels.cpp — GFLOP/s of matrix products and convolutions, and what the machine
// could do.
#include <algorithm>
#include <cmath>

#include "autograd/ops.h"
#include "clip/cli/bench.h"
#include "clip/train/progress.h"
#include "tensor/device.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace diptych::cli {
namespace {

/// c (M, N) = a (M, K) b (K, N), `batch` times.
struct Product {
  int64_t M, K, N, batch = 1;
};

// What a step of CLIP multiplies. Each is run as it stands (the gradient of an input), with b
// transposed (a linear layer) and with a transposed (the gradient of weights).
constexpr Product kProducts[] = {
    {1088, 96, 288},                                          // tiny, batch 64: q, k, v
    {1088, 96, 384},                                          // … its MLP
    {1088, 384, 96},    {4160, 192, 576},                     // small, batch 64
    {4160, 192, 768},   {4160, 768, 192}, {800, 768, 2304},   // ViT-B-32, batch 16
    {800, 768, 3072},   {800, 3072, 768}, {50, 768, 3072},    // … batch 1
    {50, 3072, 768},    {784, 3072, 768},                     // … patches
    {16, 768, 512},                                           // … projection
    {192, 512, 2048},                                         // text, 16 captions of 12 tokens
    {1232, 512, 2048},                                        // … of 77
    {1232, 2048, 512},  {64, 512, 64},                        // logits
    {25088, 64, 256},                                         // RN50, batch 8: 1 × 1 convolutions
    {6272, 512, 128},   {392, 2048, 512}, {50, 64, 50, 192},  // scores, ViT-B-32, batch 16
    {77, 64, 77, 128},                                        // … text
    {2048, 2048, 2048},
};

/// y (rows, out) = x (rows, in) w (out, in)ᵀ.
struct Layer {
  int64_t rows, in, out;
};

// What a GPU is measured by: ViT-B-32 with 1,024 pairs of 77 tokens.
constexpr Layer kLayersOfGpu[] = {
    {50176, 3072, 768},                      // patches
    {51200, 768, 2304},                      // pictures: q, k, v
    {51200, 768, 768},                       // … heads joined
    {51200, 768, 3072}, {51200, 3072, 768},  // … MLP
    {78848, 512, 1536},                      // text: q, k, v
    {78848, 512, 2048}, {78848, 2048, 512},  // … MLP
    {1024, 512, 1024},                       // logits
};

struct Where {
  Device device;
  DType dtype = DType::f32;
};

Tensor operand(int64_t batch, int64_t rows, int64_t columns, bool transposed, uint64_t stream,
               Where where) {
  const Shape shape = transposed ? Shape{batch, columns, rows} : Shape{batch, rows, columns};
  const Tensor x = randn(shape, {0, stream}, where.dtype, where.device);
  return transposed ? x.transpose(1, 2) : x;
}

/// Which factors of a product are transposed.
struct Layout {
  bool a = false, b = false;
  const char* name() const { return a ? "tn" : b ? "nt" : "nn"; }
};

double gflop(const Product& p) { return 2e-9 * static_cast<double>(p.batch * p.M * p.K * p.N); }

// Gradients of weights (tn) are f32 on the CPU, whatever they are the products of.
double seconds_of(const Product& p, Layout layout, int64_t steps, Where where) {
  const auto [device, dtype] = where;
  const Tensor a = operand(p.batch, p.M, p.K, layout.a, 1, where),
               b = operand(p.batch, p.K, p.N, layout.b, 2, where);
  const DType sums = layout.a && device == Device::cpu ? DType::f32 : dtype;
  Tensor c = empty({p.batch, p.M, p.N}, sums, device);
  // Small products are timed in groups of about a millisecond.
  const auto repeats = std::max<int64_t>(1, static_cast<int64_t>(0.1 / gflop(p)));
  const Timing t = measure(steps, device, [&, here = device] {
    for (int64_t i = 0; i < repeats; ++i) kernel::matmul(here, a, b, {}, c);
  });
  return t.median / static_cast<double>(repeats);
}

Row bench_product(const Product& p, Layout layout, int64_t steps, Where where) {
  const double seconds = seconds_of(p, layout, steps, where);
  const std::string name = layout.name();
  return {where.dtype == DType::f32 ? name : name + " " + diptych::name(where.dtype),
          {{"M", static_cast<double>(p.M)},
           {"K", static_cast<double>(p.K)},
           {"N", static_cast<double>(p.N)},
           {"batch", static_cast<double>(p.batch)},
           {"ms", 1e3 * seconds},
           {"gflops", gflop(p) / seconds}}};
}

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#else
constexpr int kVectorBytes = 32;
#endif
constexpr int kSums = 12, kLanes = kVectorBytes / 4;

// Multiply-adds that wait for nothing: independent sums of vectors, each with numbers of its own,
// or the compiler would compute one for all.
double multiply_add(int64_t rounds) {
  typedef float Vector __attribute__((vector_size(kVectorBytes)));
  Vector sums[kSums];
  for (int i = 0; i < kSums; ++i) sums[i] = Vector{} + static_cast<float>(i);
  Vector x = Vector{} + 0.5f, y = Vector{} + 0.25f;
  asm("" : "+v"(x), "+v"(y));  // nothing is known about them
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (Vector& sum : sums) sum = sum * x + y;
  }
  double total = 0;
  for (const Vector& sum : sums) total += static_cast<double>(sum[0]);
  return total;
}

double peak_of_cores(int64_t steps) {
  constexpr int64_t kRounds = 1 << 22;  // long enough for each thread to find a core of its own
  const int64_t threads = num_threads();
  std::vector<double> results(static_cast<size_t>(threads));
  const Timing t = measure(steps, Device::cpu, [&] {
    parallel_for(threads, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) results[static_cast<size_t>(i)] = multiply_add(kRounds);
    });
  });
  for (const double r : results) check(std::isfinite(r), "bench: the sums are not finite");
  return 2e-9 * kSums * kLanes * static_cast<double>(threads * kRounds) / t.quartile1;
}

double peak_gflops(int64_t steps, Where where) {
  if (where.device == Device::cpu) return peak_of_cores(steps);
  return bench_product({8192, 8192, 8192}, {}, steps, where).values.back().second;
}

// Larger than every cache: 128 MiB, on a GPU 1 GiB.
double gigabytes_per_second(int64_t steps, Device device) {
  const Tensor x =
      randn({int64_t{1} << (device == Device::cpu ? 25 : 28)}, {0, 1}, DType::f32, device);
  Tensor y = zeros_like(x);
  const Timing t = measure(steps, device, [&] { kernel::axpy(device, 0.5, x, y); });
  return 3e-9 * 4 * static_cast<double>(x.numel()) / t.median;
}

// The three products of every layer: y, the gradient of x, the gradient of w.
std::vector<Row> bench_layers(int64_t steps, Device device) {
  std::vector<Row> rows;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const auto& [R, in, out] : kLayersOfGpu) {
      rows.push_back(bench_product({R, in, out}, {false, true}, steps, {device, dtype}));
      rows.push_back(bench_product({R, out, in}, {}, steps, {device, dtype}));
      rows.push_back(bench_product({out, R, in}, {true, false}, steps, {device, dtype}));
    }
  }
  return rows;
}

double seconds_per_call(int64_t calls, Device device, const std::function<void()>& f) {
  const double start = seconds_now();
  for (int64_t i = 0; i < calls; ++i) f();
  synchronize(device);
  return (seconds_now() - start) / static_cast<double>(calls);
}

// How many calls to time together: waiting for a GPU takes ten microseconds, so on one they last
// two milliseconds. Its first calls raise its clocks, choose kernels and fill the allocator.
int64_t warm_up(Device device, const std::function<void()>& f) {
  if (device == Device::cpu) {
    f();
    return 1;
  }
  seconds_per_call(4, device, f);
  return std::max<int64_t>(1, static_cast<int64_t>(2e-3 / seconds_per_call(1, device, f)));
}

}  // namespace

Timing measure(int64_t steps, Device device, const std::function<void()>& f) {
  const int64_t calls = warm_up(device, f);
  std::vector<double> times;
  for (int64_t i = 0; i < steps; ++i) times.push_back(seconds_per_call(calls, device, f));
  std::sort(times.begin(), times.end());
  const size_t n = times.size();
  return {times[n / 2], times[n / 4], times[3 * n / 4]};
}

std::vector<Row> bench_peak(int64_t steps, Device device) {
  const double gigabytes = gigabytes_per_second(steps, device);
  std::vector<Row> rows;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    if (device == Device::cpu && dtype != DType::f32) continue;
    rows.push_back({dtype == DType::f32 ? "peak" : "peak bf16",
                    {{"threads", num_threads()},
                     {"gflops", peak_gflops(steps, {device, dtype})},
                     {"gb_per_s", gigabytes}}});
  }
  return rows;
}

std::vector<Row> bench_gemm(int64_t steps, Device device) {
  if (device != Device::cpu) return bench_layers(steps, device);
  std::vector<Row> rows;
  for (const Product& p : kProducts)
    for (const Layout layout : {Layout{}, Layout{false, true}, Layout{true, false}}) {
      Row row = bench_product(p, layout, steps, {device});
      const double f32 = row.values.back().second;
      const double bf16 = gflop(p) / seconds_of(p, layout, steps, {device, DType::bf16});
      row.values.insert(row.values.end(), {{"bf16", bf16}, {"bf16/f32", bf16 / f32}});
      rows.push_back(std::move(row));
    }
  return rows;
}

std::vector<Row> bench_conv(int64_t steps, Device device) {
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
    const Tensor x = randn({B, side, side, in}, {0, 1}, DType::f32, device),
                 w = randn({out, k, k, in}, {0, 2}, DType::f32, device);
    Tensor y = zeros({B, places, places, out}, DType::f32, device), dx = empty_like(x),
           dw = empty_like(w);
    const double gflop = 2e-9 * static_cast<double>(B * places * places * k * k * in * out);
    const auto speed = [&](const auto& f) { return gflop / measure(steps, device, f).median; };
    rows.push_back(
        {"3 x 3",
         {{"side", static_cast<double>(side)},
          {"in", static_cast<double>(in)},
          {"out", static_cast<double>(out)},
          {"stride", static_cast<double>(stride)},
          {"forward", speed([&] { kernel::conv2d(device, x, w, window, y); })},
          {"dx", speed([&] { kernel::conv2d_grad_input(device, y, w, window, dx); })},
          {"dw", speed([&] { kernel::conv2d_grad_weight(device, x, y, window, dw); })}}});
  }
  return rows;
}

}  // namespace diptych::cli
