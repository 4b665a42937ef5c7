// tests/bench/ladder.cpp — the rungs of tensor/cpu/README.md, measured: GFLOP/s of c = a b on one
// thread, from three loops to the kernel of this library.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "tensor/cpu/gemm_micro.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace diptych {
namespace {

/// c (M, N) = a (M, K) b (K, N), all contiguous.
struct Problem {
  int64_t M, K, N;
  const float *a, *b;
  float* c;
};

void three_loops(const Problem& p) {
  for (int64_t i = 0; i < p.M; ++i)
    for (int64_t j = 0; j < p.N; ++j) {
      float sum = 0;
      for (int64_t k = 0; k < p.K; ++k) sum += p.a[i * p.K + k] * p.b[k * p.N + j];
      p.c[i * p.N + j] = sum;
    }
}

/// c[i] += a[i][k] b[k], columns [j, end). Inlined it would lose __restrict.
[[gnu::noinline]] void add_row(const Problem& p, int64_t i, int64_t k, int64_t j, int64_t end) {
  const float x = p.a[i * p.K + k];
  const float* __restrict b = p.b + k * p.N;
  float* __restrict c = p.c + i * p.N;
  for (; j < end; ++j) c[j] += x * b[j];
}

void rows_innermost(const Problem& p) {
  std::fill(p.c, p.c + p.M * p.N, 0.0f);
  for (int64_t i = 0; i < p.M; ++i)
    for (int64_t k = 0; k < p.K; ++k) add_row(p, i, k, 0, p.N);
}

void blocks(const Problem& p) {
  constexpr int64_t kDepth = 64, kWidth = 256;
  std::fill(p.c, p.c + p.M * p.N, 0.0f);
  for (int64_t k0 = 0; k0 < p.K; k0 += kDepth)
    for (int64_t j = 0; j < p.N; j += kWidth)
      for (int64_t i = 0; i < p.M; ++i)
        for (int64_t k = k0; k < std::min(p.K, k0 + kDepth); ++k)
          add_row(p, i, k, j, std::min(p.N, j + kWidth));
}

/// A tile of c in registers, terms k0 … k0 + depth - 1; N is a multiple of the vector.
void tiles_of(const Problem& p, int64_t k0, int64_t depth) {
  constexpr int64_t kColumns = cpu::kTileColumns<float>;
  for (int64_t j = 0; j < p.N; j += kColumns)
    for (int64_t i = 0; i < p.M; i += cpu::kTileRows) {
      const int64_t rows = std::min<int64_t>(cpu::kTileRows, p.M - i);
      const int64_t vectors = std::min(kColumns, p.N - j) / cpu::kLanes<float>;
      float* c = p.c + i * p.N + j;
      cpu::tile_product_of<float>(rows, vectors)(depth, p.a + i * p.K + k0, p.K, 1,
                                                 p.b + k0 * p.N + j, p.N,
                                                 {c, p.N, nullptr, k0 == 0 ? nullptr : c});
    }
}

void tiles(const Problem& p) { tiles_of(p, 0, p.K); }

void tiles_and_blocks(const Problem& p) {
  for (int64_t k = 0; k < p.K; k += cpu::kPassDepth)
    tiles_of(p, k, std::min(cpu::kPassDepth, p.K - k));
}

template <class F>
double gflops(const Problem& p, const F& f) {
  const double gflop = 2e-9 * static_cast<double>(p.M * p.K * p.N);
  double best = 0;
  for (int round = 0; round < 7; ++round) {
    const auto start = std::chrono::steady_clock::now();
    f();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best = std::max(best, gflop / seconds.count());
  }
  return best;
}

void climb(int64_t M, int64_t K, int64_t N) {
  const Tensor a = randn({M, K}, {0, 1}), b = randn({K, N}, {0, 2});
  Tensor c = empty({M, N}), want = empty({M, N});
  kernel::matmul(a.device(), a, b, {}, want);
  const Problem p{M, K, N, a.data<float>(), b.data<float>(), c.data<float>()};
  fmt::print("{} x {} x {}\n", M, K, N);
  const auto rung = [&](const char* name, void (*f)(const Problem&)) {
    fmt::print("  {:<32}{:8.1f}\n", name, gflops(p, [&] { f(p); }));
    double worst = 0;
    for (int64_t i = 0; i < c.numel(); ++i)
      worst = std::fmax(worst, std::fabs(p.c[i] - want.data<float>()[i]));
    check(worst < 1e-3 * std::sqrt(static_cast<double>(K)), "ladder: '", name, "' is wrong");
  };
  rung("1. three loops, i j k", three_loops);
  rung("2. loops i k j", rows_innermost);
  rung("3. ... in blocks of k and j", blocks);
  rung("4. a tile of c in registers", tiles);
  rung("5. ... and blocks of k", tiles_and_blocks);
  fmt::print("  {:<32}{:8.1f}\n", "6. matmul: packed, any strides",
             gflops(p, [&] { kernel::matmul(a.device(), a, b, {}, c); }));
}

}  // namespace
}  // namespace diptych

int main() {
  diptych::set_num_threads(1);
  diptych::climb(1024, 1024, 1024);
  diptych::climb(6400, 96, 384);
}
