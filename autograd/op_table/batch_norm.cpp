// autograd/op_table/batch_norm.cpp — rows of the operator table: batch normalisation.
#include "autograd/op_table/parts.h"
#include "autograd/operands.h"

namespace diptych::table {
namespace {

Tensor scaled(const Tensor& x, const Inputs& in, const Tensor& mean, const Tensor& var, double eps,
              bool rectify) {
  const Tensor y = (x - mean) / sqrt(var + eps) * in[1] + in[2];
  return rectify ? relu(y) : y;
}

OpFunction normed(double eps, bool relu) {
  return [=](const Inputs& in) { return batch_norm(in[0], in[1], in[2], eps, relu).y; };
}

OpFunction normed_by_means(double eps, bool relu) {
  return [=](const Inputs& in) {
    const Tensor x = reshape(in[0], {-1, in[0].dim(-1)}), center = mean(x, 0);
    return reshape(scaled(x, in, center, mean(square(x - center), 0), eps, relu), in[0].shape());
  };
}

// Given moments, which count as constants.
Inputs moments_of(const Tensor& x) {
  const DType dtype = statistics_dtype(x);
  std::vector<double> mean, var;
  for (int64_t j = 0; j < x.dim(-1); ++j) {
    mean.push_back(0.3 * static_cast<double>(j) - 0.5);
    var.push_back(0.5 + 0.25 * static_cast<double>(j));
  }
  const Shape D{x.dim(-1)};
  return {from_vector(mean, D).to(dtype).to(x.device()),
          from_vector(var, D).to(dtype).to(x.device())};
}

OpCase given_moments(const char* what, Shape x, bool relu) {
  const Shape D{x.back()};
  return {"batch_norm", what,
          [relu](const Inputs& in) {
            const Inputs m = moments_of(in[0]);
            return batch_norm(in[0], in[1], in[2], m[0], m[1], 1e-5, relu);
          },
          normal({x, D, D}),
          [relu](const Inputs& in) {
            const Inputs m = moments_of(in[0]);
            return scaled(in[0], in, m[0].to(in[0].dtype()), m[1].to(in[0].dtype()), 1e-5, relu);
          }};
}

}  // namespace

std::vector<OpCase> batch_norm_rows() {
  const auto row = [](const char* what, Shape x, double eps, bool relu) -> OpCase {
    const Shape D{x.back()};
    return {"batch_norm", what, normed(eps, relu), normal({x, D, D}), normed_by_means(eps, relu)};
  };
  std::vector<OpCase> rows = {row("rows", {7, 5}, 1e-5, false),
                              row("pictures", {2, 3, 4, 5}, 1e-5, false),
                              row("relu", {7, 5}, 1e-5, true),
                              row("large eps", {3, 4}, 0.5, false),
                              row("beyond a chunk", {307, 5}, 1e-5, true),
                              row("beyond a band", {9, 267}, 1e-5, true),
                              given_moments("given moments", {7, 5}, false),
                              given_moments("given moments, relu", {3, 4, 5}, true)};
  const Tensor one = f64({1, 1}, {2}), shift = f64({0.5, -1}, {2});
  rows[0].special = {{f64({2, 2, 2, 2}, {2, 2}), one, shift},  // no variance
                     {f64({1e4, 1, -1e4, 1}, {2, 2}), one, shift},
                     {f64({}, {2, 0}), f64({}, {0}), f64({}, {0})}};
  rows[0].bad = {
      {"batch_norm: x (1, 3) has one value per column",
       [] {
         return batch_norm(zeros({1, 3}), zeros({3}), zeros({3})).y;
       }},
      {"batch_norm: x (2, 3) needs weight and bias (3), got (2) and (3)",
       [] {
         return batch_norm(zeros({2, 3}), zeros({2}), zeros({3})).y;
       }},
      {"batch_norm: x is f32 on cpu; weight and bias must be there too, of that dtype or f32, got "
       "f64",
       [] {
         return batch_norm(zeros({2, 3}), zeros({3}, DType::f64), zeros({3})).y;
       }},
      {"batch_norm: needs mean and variance f32 (3) beside x, got f32 (2)", [] {
         return batch_norm(zeros({2, 3}), zeros({3}), zeros({3}), zeros({2}), zeros({3}));
       }}};
  return rows;
}

}  // namespace diptych::table
