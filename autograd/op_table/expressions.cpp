// autograd/op_table/expressions.cpp — rows of the operator table: numbers beside tensors, powers,
// assignments, choices.
#include <algorithm>
#include <cmath>
#include <limits>

#include "autograd/op_table/parts.h"
#include "tensor/scalar_ops.h"

namespace diptych::table {
namespace {

std::vector<OpCase> power_rows() {
  const auto to_the = [](double b) -> OpFunction {
    return [b](const Inputs& in) { return pow(in[0], b); };
  };
  std::vector<OpCase> rows = {
      {"pow", "third power of either sign", to_the(3), apart({{3, 4}}),
       [](const Inputs& in) { return in[0] * in[0] * in[0]; }},
      {"pow", "negative power", to_the(-1.5), positive({{3, 4}}),
       [](const Inputs& in) { return exp(log(in[0]) * -1.5); }},
      {"pow", "power 0", to_the(0), normal({{3, 4}}),
       [](const Inputs& in) { return in[0] * 0 + 1; }},
  };
  rows[0].special = {{f64({-20, 0, 20}, {3})}};
  rows[2].special = {{f64({-1e4, 0, 1e4}, {3})}};
  rows[0].bad = {{"pow: needs a floating-point tensor", [] { return pow(arange(3), 2); }}};
  return rows;
}

// The numbers are exact in every dtype.
std::vector<OpCase> operator_rows() {
  const MakeInputs two = positive({{3, 4}, {4}});
  std::vector<OpCase> rows = {
      {"operator+", "tensor and number, either side",
       [](const Inputs& in) { return 0.25 + (in[0] + in[1]) + 1.25; }, two,
       plain([](double a, double b) { return a + b + 1.5; })},
      {"operator-", "one operand, two and number",
       [](const Inputs& in) { return -(in[0] - in[1]) - 1.5; }, two,
       plain([](double a, double b) { return b - a - 1.5; })},
      {"operator-", "number first", [](const Inputs& in) { return 1.5 - (in[0] + in[1]); }, two,
       plain([](double a, double b) { return 1.5 - a - b; })},
      {"operator*", "tensor and number, either side",
       [](const Inputs& in) { return 0.75 * (in[0] * in[1]) * 1.5; }, two,
       plain([](double a, double b) { return 1.125 * a * b; })},
      {"operator/", "tensor and number", [](const Inputs& in) { return in[0] / in[1] / 4; }, two,
       plain([](double a, double b) { return a / b / 4; })},
      {"operator/", "number first", [](const Inputs& in) { return 1.5 / (in[0] * in[1]); }, two,
       plain([](double a, double b) { return 1.5 / (a * b); })},
      {"unary", "by name", [](const Inputs& in) { return unary(Unary::tanh, in[0]); },
       normal({{3, 4}}), plain([](double x) { return std::tanh(x); })},
  };
  for (OpCase& row : rows) row.composed = true;
  rows[0].bad = {{"add: needs a floating-point tensor", [] { return arange(3) + 1.0; }}};
  rows[2].bad = {{"sub: needs a floating-point tensor", [] { return 1 - arange(3); }}};
  rows[3].bad = {{"mul: needs a floating-point tensor", [] { return arange(3) * 2.0; }}};
  rows[5].bad = {{"div: needs a floating-point tensor", [] { return 1 / arange(3); }}};
  return rows;
}

using Assignment = Tensor& (*)(Tensor&, const Tensor&);
using NumberAssignment = Tensor& (*)(Tensor&, double);

// (a · 1) ∘= b, then ∘= 0.5; a itself is a leaf.
OpCase assigned(const char* op, Assignment by_tensor, NumberAssignment by_number,
                double (*reference)(double, double)) {
  OpCase row = {op, "tensor and number",
                [=](const Inputs& in) {
                  Tensor x = in[0] * 1;
                  by_tensor(x, in[1]);
                  return by_number(x, 0.5);
                },
                positive({{3, 4}, {4}}), plain(reference)};
  row.composed = true;
  row.bad = {{"=: x is a tracked leaf",
              [=] {
                Tensor x = track(zeros({2}));
                return by_tensor(x, zeros({2}));
              }},
             {"=: x (2) would become (3, 2)",
              [=] {
                Tensor x = zeros({2});
                return by_tensor(x, zeros({3, 2}));
              }},
             {"=: x is a tracked leaf", [=] {
                Tensor x = track(zeros({2}));
                return by_number(x, 1);
              }}};
  return row;
}

std::vector<OpCase> assignment_rows() {
  return {assigned("operator+=", operator+=, operator+=,
                   [](double a, double b) { return a + b + 0.5; }),
          assigned("operator-=", operator-=, operator-=,
                   [](double a, double b) { return a - b - 0.5; }),
          assigned("operator*=", operator*=, operator*=,
                   [](double a, double b) { return a * b * 0.5; }),
          assigned("operator/=", operator/=, operator/=,
                   [](double a, double b) { return a / b / 0.5; })};
}

std::vector<OpCase> clamp_rows() {
  const auto between = [](double low, double high) -> OpFunction {
    return [=](const Inputs& in) { return clamp(in[0], low, high); };
  };
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  std::vector<OpCase> rows = {
      {"clamp", "both sides", between(-0.5, 0.75), spaced({{3, 4}}),
       plain([](double x) { return std::clamp(x, -0.5, 0.75); })},
      {"clamp", "above only", between(-kInf, 0.75), spaced({{3, 4}}),
       [](const Inputs& in) { return 0.75 - relu(0.75 - in[0]); }},
      {"clamp", "to one value", between(0.75, 0.75), spaced({{3, 4}}),
       [](const Inputs& in) { return in[0] * 0 + 0.75; }},
  };
  for (OpCase& row : rows) {
    row.composed = true;
    row.special = {{f64({}, {0})}, {f64({-1e4, 0, 1e4}, {3})}};
  }
  const auto bad = [&](const char* message, double low, double high) {
    rows[0].bad.push_back({message, [=] { return clamp(zeros({2}), low, high); }});
  };
  bad("clamp: low 2 must not be above high 1", 2, 1);
  bad("clamp: low nan", nan, 1);
  bad("nor either be NaN", 0, nan);
  rows[0].bad.push_back(
      {"maximum: needs a floating-point tensor", [] { return clamp(arange(3), 0, 1); }});
  return rows;
}

// Every third element from b.
Tensor thirds(Shape shape) {
  std::vector<uint8_t> mask;
  for (int64_t i = 0; i < shape.numel(); ++i) mask.push_back(i % 3 == 0 ? 0 : 255);
  return from_vector(mask, shape);
}

OpCase chosen(const char* what, Shape mask, Shape a, Shape b) {
  return {
      "where", what,
      [m = thirds(mask)](const Inputs& in) { return where(m.to(in[0].device()), in[0], in[1]); },
      normal({a, b}),
      [m = minimum(thirds(mask).to(DType::f64), full({}, 1, DType::f64))](const Inputs& in) {
        return in[0] * m + in[1] * (1 - m);
      }};
}

std::vector<OpCase> where_rows() {
  std::vector<OpCase> rows = {
      chosen("same shape", {3, 4}, {3, 4}, {3, 4}), chosen("row mask", {4}, {3, 4}, {3, 1}),
      chosen("scalars", {3, 4}, {}, {}), chosen("long", {211, 193}, {193}, {211, 1})};
  // The gradient of a scalar is one sum of rounded terms of either sign, which may cancel.
  rows[2].slack = 10;
  rows[1].special = {{f64({}, {0, 4}), f64({}, {0, 1})},
                     {f64({0, 1, 2, -1e4}, {4}), f64({1e4}, {1})}};
  rows[0].bad = {{"where: the mask must be u8, got f32",
                  [] { return where(zeros({2}), zeros({2}), zeros({2})); }},
                 {"where: needs operands of one dtype on one device, got f32 on cpu, f64 on cpu",
                  [] { return where(thirds({2}), zeros({2}), zeros({2}, DType::f64)); }},
                 {"where: shapes do not broadcast: a (3), b (2)",
                  [] { return where(thirds({3}), zeros({2}), zeros({2})); }}};
  return rows;
}

}  // namespace

std::vector<OpCase> expression_rows() {
  std::vector<OpCase> rows;
  for (const auto& part : {power_rows, operator_rows, assignment_rows, clamp_rows, where_rows}) {
    append(rows, part());
  }
  return rows;
}

}  // namespace diptych::table
