// autograd/op_table/reduce.cpp — rows of the operator table: sums, means and maxima.
#include "autograd/op_table/parts.h"

namespace diptych::table {
namespace {

struct Along {
  const char* what;
  Shape shape;
  int axis;
  bool keep;
};
// The long ones are beyond one chunk of a sum and one thread, along either axis.
const std::vector<Along> kAlong = {
    {"columns", {4, 3}, 0, false},         {"rows", {4, 3}, 1, false},
    {"middle axis", {2, 5, 3}, 1, false},  {"last axis, kept", {2, 3, 4}, -1, true},
    {"first axis, kept", {3, 4}, 0, true}, {"vector", {7}, 0, false},
    {"axis of one", {3, 1, 2}, 1, false},  {"long columns", {1301, 37}, 0, false},
    {"long rows", {37, 1301}, 1, false},   {"long middle axis", {3, 997, 7}, 1, true}};

using Reduction = Tensor (*)(const Tensor&, int, bool);

// Slices along the axis, taken one after the other by `combine`.
Tensor fold(const Tensor& x, int axis, bool keep, Tensor (*combine)(const Tensor&, const Tensor&)) {
  axis = normalize_axis("fold", axis, x.rank());
  Tensor y = slice(x, axis, 0, 1);
  for (int64_t i = 1; i < x.dim(axis); ++i) y = combine(y, slice(x, axis, i, i + 1));
  if (keep) return y;
  Shape shape;
  for (int i = 0; i < x.rank(); ++i) {
    if (i != axis) shape.push_back(x.dim(i));
  }
  return reshape(y, shape);
}

Tensor sum_by_fold(const Tensor& x, int axis, bool keep) { return fold(x, axis, keep, add); }
Tensor max_by_fold(const Tensor& x, int axis, bool keep) { return fold(x, axis, keep, maximum); }
Tensor mean_by_fold(const Tensor& x, int axis, bool keep) {
  return sum_by_fold(x, axis, keep) / static_cast<double>(x.dim(axis));
}

std::vector<OpCase> rows_of(const char* name, Reduction f, MakeInputs (*draw)(std::vector<Shape>),
                            Reduction reference) {
  std::vector<OpCase> rows;
  for (const Along& a : kAlong) {
    rows.push_back({name, a.what, [f, a](const Inputs& in) { return f(in[0], a.axis, a.keep); },
                    draw({a.shape}),
                    [reference, a](const Inputs& in) { return reference(in[0], a.axis, a.keep); }});
  }
  rows[0].special = {{f64({5}, {1, 1})}, {f64({-1e4, 1e4, 1e4, 1e4}, {2, 2})}, {f64({}, {3, 0})}};
  rows[0].bad = {
      {": axis 2 is out of range for rank 2",
       [f] {
         return f(zeros({2, 3}), 2, false);
       }},
      {": axis -3 is out of range for rank 2",
       [f] {
         return f(zeros({2, 3}), -3, false);
       }},
      {": axis 0 is out of range for rank 0", [f] { return f(zeros({}), 0, false); }},
      {": needs a floating-point tensor, got i64", [f] { return f(arange(3), 0, false); }}};
  return rows;
}

std::vector<OpCase> sum_rows() {
  std::vector<OpCase> rows = rows_of("sum", sum, normal, sum_by_fold);
  rows.push_back({"sum",
                  "everything",
                  call(sum),
                  normal({{3, 4}}),
                  [](const Inputs& in) { return sum_by_fold(reshape(in[0], {12}), 0, false); },
                  {{f64({}, {0})}, {f64({3}, {})}}});
  rows.push_back({"sum", "of nothing", [](const Inputs& in) { return sum(in[0], 1); },
                  normal({{2, 0, 3}}),
                  [](const Inputs&) {
                    return zeros({2, 3}, DType::f64);
                  }});
  return rows;
}

std::vector<OpCase> mean_rows() {
  std::vector<OpCase> rows = rows_of("mean", mean, normal, mean_by_fold);
  rows[0].bad.push_back({"mean: of nothing: axis 1 of (2, 0) is empty", [] {
                           return mean(zeros({2, 0}), 1);
                         }});
  rows[0].bad.push_back({"mean: of nothing", [] { return mean(zeros({0, 3})); }});
  rows.push_back({"mean", "everything", call(mean), normal({{3, 4}}),
                  [](const Inputs& in) { return sum(in[0]) / 12; }});
  // The sum is beyond the range of f16, the mean is not.
  rows.push_back({"mean", "more than f16 holds", call(mean), positive({{70001}}),
                  [](const Inputs& in) { return sum(in[0]) / 70001; }});
  for (OpCase& row : rows) row.composed = true;
  return rows;
}

std::vector<OpCase> max_rows() {
  std::vector<OpCase> rows = rows_of("max", max, spaced, max_by_fold);
  rows[0].bad.push_back({"max: of nothing: axis 1 of (2, 0) is empty", [] {
                           return max(zeros({2, 0}), 1);
                         }});
  return rows;
}

// mean(x²) - mean(x)²
Tensor var_by_moments(const Tensor& x, int axis, bool keep) {
  return mean(square(x), axis, keep) - square(mean(x, axis, keep));
}

std::vector<OpCase> var_rows() {
  std::vector<OpCase> rows = rows_of(
      "var", [](const Tensor& x, int axis, bool keep) { return var(x, axis, keep); }, normal,
      var_by_moments);
  rows.push_back({"var", "unbiased", [](const Inputs& in) { return var(in[0], 0, false, 1); },
                  normal({{5, 3}}),
                  [](const Inputs& in) { return var_by_moments(in[0], 0, false) * 5 / 4; }});
  for (OpCase& row : rows) row.composed = true;
  const auto bad = [&](const char* message, Shape shape, int64_t correction) {
    rows[0].bad.push_back({message, [=] { return var(zeros(shape), 1, false, correction); }});
  };
  bad("var: correction 3 for the 3 elements along axis 1 of (2, 3)", {2, 3}, 3);
  bad("var: correction -1 for the 3 elements", {2, 3}, -1);
  bad("var: correction 0 for the 0 elements", {2, 0}, 0);
  return rows;
}

}  // namespace

std::vector<OpCase> reduce_rows() {
  std::vector<OpCase> rows = sum_rows();
  append(rows, mean_rows());
  append(rows, var_rows());
  append(rows, max_rows());
  return rows;
}

}  // namespace diptych::table
