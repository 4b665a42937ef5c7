// tests/cuda/test_ladder.cu — how the rungs of cuda/README.md are launched, and that each gives
// what the kernel for the CPU gives.
#include "tests/cuda/ladder_attention.cuh"
#include "tests/cuda/ladder_layer_norm.cuh"
#include "tests/cuda/ladder_matmul.cuh"
#include "tests/kernel_reference.h"

namespace diptych::cuda::ladder {
namespace {

Tensor on_device(const Tensor& x) { return x.to(Device::cuda); }
Tensor room_for(const Shape& shape) { return empty(shape, DType::f32, Device::cuda); }

void check_same(const Tensor& got, const Tensor& want, double slack = 1) {
  test::check_close(got, test::values(want), slack);
}

/// Elements of c that a block computes.
struct Size {
  int64_t rows, columns;
};

// -- c = a b. Sizes that no tile divides, one of several blocks; a product of nothing is 0.

template <class T>
void check_matmul(const char* name, void (*kernel)(Product<T>), int threads, Size tile) {
  for (const auto& [M, K, N] : {std::array<int64_t, 3>{5, 3, 7}, {33, 70, 130}, {2, 0, 3}}) {
    const Tensor a = test::normal({M, K}, dtype_of<T>(), 1), da = on_device(a);
    const Tensor b = test::normal({K, N}, dtype_of<T>(), 2), db = on_device(b);
    Tensor c = room_for({M, N}), want = empty({M, N});
    const Product<T> p{da.data<T>(), db.data<T>(), c.data<float>(), M, K, N};
    const Grid grid{ceil_div(N, tile.columns), threads, ceil_div(M, tile.rows)};
    launch(name, kernel, grid, p);
    cpu::matmul(a.to(DType::f32), b.to(DType::f32), {}, want);
    check_same(c, want);
  }
}

TEST_CASE("ladder: matmul 1, by elements") {
  check_matmul("matmul_by_elements", matmul_by_elements, kBlock, {1, kBlock});
}
TEST_CASE("ladder: matmul 2, shared tiles") {
  check_matmul("matmul_shared_tiles", matmul_shared_tiles, kBlock, {32, 32});
}
TEST_CASE("ladder: matmul 3, register tiles") {
  check_matmul("matmul_register_tiles", matmul_register_tiles, kBlock, {128, 128});
}
TEST_CASE("ladder: matmul 4, tensor cores") {
  check_matmul("matmul_tensor_cores", matmul_tensor_cores<bf16>, 4 * kWarp, {64, 64});
  check_matmul("matmul_tensor_cores", matmul_tensor_cores<f16>, 4 * kWarp, {64, 64});
}

// -- Rows of the last axis: narrower and wider than a block, fewer and more than it has warps.

constexpr std::array<int64_t, 2> kRows[] = {{1, 1}, {10, 7}, {3, 300}};

Grid thread_per_row(int64_t N) { return grid_for(N); }
Grid block_per_row(int64_t N) { return {N}; }
Grid warp_per_row(int64_t N) { return {ceil_div(N, kBlock / kWarp)}; }

// One column is masked, and all of one row.
void check_softmax(const char* name, void (*kernel)(const float*, float*, int64_t, int64_t),
                   Grid (*grid)(int64_t)) {
  for (const auto& [N, D] : kRows) {
    Tensor x = test::normal({N, D});
    x.slice(1, 0, 1).fill_(kNothing);
    x.slice(0, N - 1, N).fill_(kNothing);
    const Tensor dx = on_device(x);
    Tensor y = room_for({N, D}), want = empty({N, D});
    launch(name, kernel, grid(N), dx.data<float>(), y.data<float>(), N, D);
    cpu::softmax(x, want);
    check_same(y, want);
  }
}

TEST_CASE("ladder: softmax 1, by threads") {
  check_softmax("softmax_by_threads", softmax_by_threads, thread_per_row);
}
TEST_CASE("ladder: softmax 2, by blocks") {
  check_softmax("softmax_by_blocks", softmax_by_blocks, block_per_row);
}
TEST_CASE("ladder: softmax 3, by warps") {
  check_softmax("softmax_by_warps", softmax_by_warps, warp_per_row);
}
TEST_CASE("ladder: softmax 4, online") {
  check_softmax("softmax_online", softmax_online, warp_per_row);
}

// The last row has a mean a thousand times its deviation, which costs the mean three digits.
void check_layer_norm(const char* name, void (*kernel)(Norm), Grid (*grid)(int64_t)) {
  for (const auto& [N, D] : kRows) {
    Tensor x = test::normal({N, D}, DType::f32, 1), last = x.slice(0, N - 1, N);
    cpu::axpy(1, full({1, D}, 1000), last);
    const Tensor w = test::normal({D}, DType::f32, 2), b = test::normal({D}, DType::f32, 3);
    const Tensor dx = on_device(x), dw = on_device(w), db = on_device(b);
    Tensor y = room_for({N, D}), want = empty({N, D}), mean = empty({N}), rstd = empty({N});
    const Norm of{
        dx.data<float>(), dw.data<float>(), db.data<float>(), 1e-5f, y.data<float>(), N, D};
    launch(name, kernel, grid(N), of);
    cpu::layer_norm(x, w, b, 1e-5, want, mean, rstd);
    check_same(y.slice(0, 0, N - 1), want.slice(0, 0, N - 1));
    check_same(y.slice(0, N - 1, N), want.slice(0, N - 1, N), 100);
  }
}

TEST_CASE("ladder: layer_norm 1, by threads") {
  check_layer_norm("layer_norm_by_threads", layer_norm_by_threads, thread_per_row);
}
TEST_CASE("ladder: layer_norm 2, by blocks") {
  check_layer_norm("layer_norm_by_blocks", layer_norm_by_blocks, block_per_row);
}
TEST_CASE("ladder: layer_norm 3, in registers") {
  check_layer_norm("layer_norm_in_registers", layer_norm_in_registers<24>, warp_per_row);
}

// -- Attention: heads narrower than a warp and as wide as may be, fewer and more tokens than a
// tile.

void attention_in_memory(const Attention& of) {
  Tensor s = room_for({of.H, of.T, of.T}), p = room_for(s.shape());
  launch("attention_scores", attention_scores, Grid{ceil_div(of.T, kBlock), kBlock, of.T, of.H}, of,
         s.data<float>());
  launch("softmax_by_warps", softmax_by_warps, warp_per_row(of.H * of.T), s.data<float>(),
         p.data<float>(), of.H * of.T, of.T);
  launch("attention_weighted", attention_weighted,
         Grid{ceil_div(of.width(), kBlock), kBlock, of.T, of.H}, of, p.data<float>());
}

void attention_in_tiles(const Attention& of) {
  launch("attention_online", attention_online, Grid{ceil_div(of.T, 8), kBlock, of.H}, of);
}

void check_attention(void (*rung)(const Attention&)) {
  for (const auto& [T, D, H] : {std::array<int64_t, 3>{1, 4, 2}, {50, 24, 2}, {70, 64, 1}}) {
    const Tensor qkv = test::normal({T, 3 * D}), there = on_device(qkv);
    Tensor y = room_for({T, D}), want = empty({T, D}), lse = empty({H, T});
    rung({there.data<float>(), y.data<float>(), T, D, H});
    cpu::attention(qkv, test::layout_of({0, T}), H, false, want, lse);
    check_same(y, want);
  }
}

TEST_CASE("ladder: attention 1, scores in memory") { check_attention(attention_in_memory); }
TEST_CASE("ladder: attention 2, online over tiles of keys") { check_attention(attention_in_tiles); }

}  // namespace
}  // namespace diptych::cuda::ladder
