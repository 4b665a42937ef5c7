// autograd/op_table/pool.cpp — rows of the operator table: pooling.
#include "autograd/op_table/parts.h"

namespace diptych::table {
namespace {

// (B, H, W, C) → (B, H/k, k, W/k, k, C)
Tensor squares(const Tensor& x, int64_t k) {
  return reshape(x, {x.dim(0), x.dim(1) / k, k, x.dim(2) / k, k, x.dim(3)});
}
Tensor pool_by_means(const Tensor& x, int64_t k) { return mean(mean(squares(x, k), 4), 2); }
Tensor pool_by_maxima(const Tensor& x, int64_t k) { return max(max(squares(x, k), 4), 2); }

using Pool = Tensor (*)(const Tensor&, int64_t);

std::vector<OpCase> rows_of(const char* name, Pool pool, MakeInputs (*draw)(std::vector<Shape>),
                            Pool reference) {
  std::vector<OpCase> rows;
  const auto add = [&](const char* what, Shape x, int64_t k) {
    rows.push_back({name, what, [=](const Inputs& in) { return pool(in[0], k); }, draw({x}),
                    [=](const Inputs& in) { return reference(in[0], k); }});
  };
  add("2 x 2", {2, 4, 6, 3}, 2);
  add("3 x 3", {1, 3, 6, 5}, 3);
  add("1 x 1", {2, 3, 2, 4}, 1);
  add("wide", {2, 8, 10, 67}, 2);
  rows[0].special = {{f64({}, {0, 2, 2, 3})},
                     {f64({}, {1, 2, 2, 0})},
                     {f64({}, {1, 0, 2, 3})},
                     {full({1, 2, 2, 1}, 1e4, DType::f64)}};
  const auto bad = [&](const char* message, Shape x, int64_t k) {
    rows[0].bad.push_back({message, [=] { return pool(zeros(x), k); }});
  };
  bad("_pool: squares of 2 must divide the sides of x (1, 3, 4, 1)", {1, 3, 4, 1}, 2);
  bad("_pool: squares of 0 must divide", {1, 2, 2, 1}, 0);
  bad("_pool: squares of 4294967296 are impossible", {1, 0, 0, 1}, int64_t{1} << 32);
  bad("_pool: needs floating-point pictures (B, H, W, C), got f32 (2, 2)", {2, 2}, 1);
  return rows;
}

}  // namespace

std::vector<OpCase> pool_rows() {
  std::vector<OpCase> rows = rows_of("avg_pool", avg_pool, normal, pool_by_means);
  append(rows, rows_of("max_pool", max_pool, spaced, pool_by_maxima));
  return rows;
}

}  // namespace diptych::table
