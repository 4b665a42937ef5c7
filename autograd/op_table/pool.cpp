// autograd/op_table/pool.cpp — rows of the operator table: pooling.
#include "autograd/op_table/parts.h"

namespace diptych::table {
namespace {

// (B, H, W, C) → (B, H/k, k, W/k, k, C), and means over the squares.
Tensor pool_by_means(const Tensor& x, int64_t k) {
  const Tensor squares = reshape(x, {x.dim(0), x.dim(1) / k, k, x.dim(2) / k, k, x.dim(3)});
  return mean(mean(squares, 4), 2);
}

OpCase pool_row(const char* what, Shape x, int64_t k) {
  return {"avg_pool", what, [k](const Inputs& in) { return avg_pool(in[0], k); }, normal({x}),
          [k](const Inputs& in) { return pool_by_means(in[0], k); }};
}

}  // namespace

std::vector<OpCase> pool_rows() {
  std::vector<OpCase> rows = {
      pool_row("2 x 2", {2, 4, 6, 3}, 2), pool_row("3 x 3", {1, 3, 6, 5}, 3),
      pool_row("1 x 1", {2, 3, 2, 4}, 1), pool_row("wide", {2, 8, 10, 67}, 2)};
  rows[0].special = {{f64({}, {0, 2, 2, 3})},
                     {f64({}, {1, 2, 2, 0})},
                     {f64({}, {1, 0, 2, 3})},
                     {full({1, 2, 2, 1}, 1e4, DType::f64)}};
  rows[0].bad = {{"avg_pool: squares of 2 must divide the sides of x (1, 3, 4, 1)",
                  [] {
                    return avg_pool(zeros({1, 3, 4, 1}), 2);
                  }},
                 {"avg_pool: squares of 0 must divide",
                  [] {
                    return avg_pool(zeros({1, 2, 2, 1}), 0);
                  }},
                 {"avg_pool: squares of 4294967296 are impossible", [] {
                    return avg_pool(zeros({1, 0, 0, 1}), int64_t{1} << 32);
                  }}};
  return rows;
}

}  // namespace diptych::table
