// autograd/op_table/norm.cpp — rows of the operator table: layer normalisation and L2
// normalisation.
#include "autograd/op_table/parts.h"
#include "autograd/operands.h"

namespace diptych::table {
namespace {

OpFunction normalized(double eps) {
  return [eps](const Inputs& in) { return layer_norm(in[0], in[1], in[2], eps); };
}

// As mixed precision has it: rows of any type, gains in f32.
OpFunction normalized_by_f32(double eps) {
  return [eps](const Inputs& in) {
    const DType dtype = statistics_dtype(in[0]);
    return layer_norm(in[0], cast(in[1], dtype), cast(in[2], dtype), eps);
  };
}

OpFunction normalized_by_means(double eps) {
  return [eps](const Inputs& in) {
    const Tensor centered = in[0] - mean(in[0], -1, true);
    const Tensor variance = mean(square(centered), -1, true);
    return centered / sqrt(variance + eps) * in[1] + in[2];
  };
}

std::vector<OpCase> layer_norm_rows() {
  const auto row = [](const char* what, Shape x, double eps) -> OpCase {
    const Shape D = {x.back()};
    return {"layer_norm", what, normalized(eps), normal({x, D, D}), normalized_by_means(eps)};
  };
  std::vector<OpCase> rows = {row("rows", {5, 8}, 1e-5),          row("vector", {6}, 1e-5),
                              row("three axes", {2, 3, 5}, 1e-5), row("large eps", {3, 4}, 0.5),
                              row("long", {307, 61}, 1e-5),       row("wide", {3, 2053}, 1e-5)};
  const Tensor one = f64({1, 1, 1}, {3}), shift = f64({0, 1, -1}, {3});
  rows[0].special = {{f64({}, {0, 3}), one, shift},
                     {f64({2, 2, 2}, {1, 3}), one, shift},  // no variance
                     {f64({1e4, 1e4, -1e4}, {1, 3}), one, shift},
                     {f64({3}, {1, 1}), f64({2}, {1}), f64({-1}, {1})},
                     {f64({}, {2, 0}), f64({}, {0}), f64({}, {0})}};
  rows[0].bad = {
      {"layer_norm: x (2, 3) needs weight and bias (3), got (2) and (3)",
       [] {
         return layer_norm(zeros({2, 3}), zeros({2}), zeros({3}));
       }},
      {"layer_norm: x (2, 3) needs weight and bias (3), got (3) and (1)",
       [] {
         return layer_norm(zeros({2, 3}), zeros({3}), zeros({1}));
       }},
      {"layer_norm: x is f32 on cpu; weight and bias must be there too, of that dtype or "
       "f32, got f16 on cpu, f32 on cpu",
       [] { return layer_norm(zeros({3}), zeros({3}, DType::f16), zeros({3})); }},
      {"layer_norm: needs at least one axis",
       [] { return layer_norm(zeros({}), zeros({1}), zeros({1})); }},
      {"layer_norm: needs a floating-point tensor",
       [] { return layer_norm(arange(3), arange(3), arange(3)); }}};
  rows.push_back({"layer_norm", "gains in f32", normalized_by_f32(1e-5), normal({{5, 7}, {7}, {7}}),
                  normalized_by_means(1e-5)});
  return rows;
}

std::vector<OpCase> l2_normalize_rows() {
  const auto f = [](double eps) -> OpFunction {
    return [eps](const Inputs& in) { return l2_normalize(in[0], eps); };
  };
  const auto by_square = [](const Inputs& in) {
    return in[0] / sqrt(sum(square(in[0]), -1, true));
  };
  std::vector<OpCase> rows = row_wise("l2_normalize", f(1e-12), by_square);
  rows.push_back({"l2_normalize",
                  "shorter than eps",
                  f(100),
                  normal({{3, 4}}),
                  [](const Inputs& in) { return in[0] / 100; },
                  {{f64({0, 0, 0, 0}, {2, 2})}}});
  return rows;
}

}  // namespace

std::vector<OpCase> norm_rows() {
  std::vector<OpCase> rows = layer_norm_rows();
  append(rows, l2_normalize_rows());
  return rows;
}

}  // namespace diptych::table
