// autograd/op_table/elementwise.cpp — rows of the operator table: element by element.
#include <cmath>

#include "autograd/op_table/parts.h"

namespace diptych::table {
namespace {

// A scalar, a matrix, and a prime length beyond what one thread or one vector takes.
struct NamedShape {
  const char* what;
  Shape shape;
};
const std::vector<NamedShape> kShapes = {
    {"matrix", {3, 5}}, {"scalar", {}}, {"rank 6", {2, 1, 2, 1, 2, 1}}, {"long", {40009}}};

constexpr double kPi = 3.14159265358979323846;

struct UnaryOp {
  const char* name;
  Tensor (*f)(const Tensor&);
  MakeInputs (*draw)(std::vector<Shape>);
  OpFunction reference;
  std::vector<double> large;  // neither values nor gradients may become NaN there
};

Tensor one_over(const Tensor& x) { return exp(-log(x)); }

std::vector<UnaryOp> unary_ops() {
  const std::vector<double> both = {-1e4, -100, -1, 0, 1, 100, 1e4};
  return {
      {"neg", neg, normal, [](const Inputs& in) { return zeros_like(in[0]) - in[0]; }, both},
      {"exp", exp, normal, plain(std::exp), {-1e4, -100, 0, 10}},
      {"log", log, positive, plain(std::log), {1e-3, 1, 1e4}},
      {"sqrt", sqrt, positive, [](const Inputs& in) { return exp(log(in[0]) * 0.5); }, {1e-3, 1e4}},
      {"square", square, normal, [](const Inputs& in) { return in[0] * in[0]; }, both},
      {"abs", abs, apart, [](const Inputs& in) { return maximum(in[0], -in[0]); }, both},
      {"sin", sin, normal, [](const Inputs& in) { return cos(in[0] - kPi / 2); }, both},
      {"cos", cos, normal, plain(std::cos), both},
      {"tanh", tanh, normal, [](const Inputs& in) { return sigmoid(in[0] * 2) * 2 - 1; }, both},
      {"sigmoid", sigmoid, normal, [](const Inputs& in) { return one_over(exp(-in[0]) + 1); },
       both},
      {"relu", relu, apart, [](const Inputs& in) { return maximum(in[0], zeros_like(in[0])); },
       both},
      {"gelu", gelu, normal, plain([](double x) { return x / 2 * std::erfc(-x / std::sqrt(2.0)); }),
       both},
      {"gelu_tanh", gelu_tanh, normal, plain([](double x) {
         return x / 2 * (1 + std::tanh(std::sqrt(2 / kPi) * (x + 0.044715 * x * x * x)));
       }),
       both},
      {"quick_gelu", quick_gelu, normal,
       [](const Inputs& in) { return in[0] * sigmoid(in[0] * 1.702); }, both},
      {"silu", silu, normal, [](const Inputs& in) { return in[0] * sigmoid(in[0]); }, both},
  };
}

std::vector<OpCase> rows_of(const UnaryOp& op) {
  std::vector<OpCase> rows;
  for (const NamedShape& s : kShapes) {
    rows.push_back({op.name, s.what, call(op.f), op.draw({s.shape}), op.reference});
    // A single value has nothing to average with, and 1 - y² of a rounded y may cancel.
    if (s.shape.numel() == 1) rows.back().slack = 10;
  }
  const auto n = static_cast<int64_t>(op.large.size());
  rows[0].special = {{f64({}, {0})}, {f64({}, {2, 0, 3})}, {f64({1}, {1})}, {f64(op.large, {n})}};
  rows[0].bad = {{": needs a floating-point tensor, got i64", [f = op.f] { return f(arange(3)); }},
                 {"used before it was given a value", [f = op.f] { return f(Tensor()); }}};
  return rows;
}

std::vector<OpCase> cast_rows() {
  const OpFunction same = plain([](double x) { return x; });
  return {
      {"cast",
       "up",
       [](const Inputs& in) { return cast(in[0], DType::f64); },
       normal({{3, 5}}),
       same,
       {{f64({}, {0})}, {f64({-6e4, 6e4}, {2})}},
       {{"cast: from i64 to f32", [] { return cast(arange(3), DType::f32); }},
        {"cast: from f32 to u8", [] { return cast(zeros({3}), DType::u8); }}}},
      {"cast", "up and down",
       [](const Inputs& in) { return cast(cast(in[0], DType::f64), in[0].dtype()); },
       normal({{40009}}), same},
  };
}

struct BinaryOp {
  const char* name;
  Tensor (*f)(const Tensor&, const Tensor&);
  MakeInputs (*draw)(std::vector<Shape>);
  OpFunction reference;
  Inputs large = {f64({-1e4, 1e4}, {2}), f64({1, 3}, {2})};
  double slack = 1;
};

std::vector<BinaryOp> binary_ops() {
  return {
      {"add", add, normal, plain([](double a, double b) { return a + b; })},
      {"sub", sub, normal, [](const Inputs& in) { return in[0] + neg(in[1]); }},
      {"mul", mul, normal,  // ((a + b)² - (a - b)²) / 4
       [](const Inputs& in) { return (square(in[0] + in[1]) - square(in[0] - in[1])) * 0.25; }},
      {"div", div, positive, [](const Inputs& in) { return in[0] * one_over(in[1]); }},
      {"maximum", maximum, spaced,  // (a + b + |a - b|) / 2
       [](const Inputs& in) { return (in[0] + in[1] + sqrt(square(in[0] - in[1]))) * 0.5; }},
      {"minimum", minimum, spaced, [](const Inputs& in) { return -maximum(-in[0], -in[1]); }},
      {"pow",
       pow,
       positive,
       [](const Inputs& in) { return exp(in[1] * log(in[0])); },
       {f64({0, 0, 2, 1e4}, {4}), f64({0, 1, -3, 0.5}, {4})},
       10},  // ln a has either sign: sums of gradients cancel
  };
}

struct NamedPair {
  const char* what;
  Shape a, b;
};
const std::vector<NamedPair> kPairs = {{"same shape", {3, 4}, {3, 4}},
                                       {"row", {3, 4}, {4}},
                                       {"column", {3, 4}, {3, 1}},
                                       {"row from the left", {4}, {2, 3, 4}},
                                       {"both ways", {2, 1, 4}, {3, 1}},
                                       {"scalar", {}, {3, 2}},
                                       {"scalars", {}, {}},
                                       {"two inner axes", {2, 3, 4, 5}, {3, 1, 1}},
                                       {"long rows", {211, 193}, {193}},
                                       {"long columns", {211, 193}, {211, 1}}};

std::vector<OpCase> rows_of(const BinaryOp& op) {
  std::vector<OpCase> rows;
  for (const NamedPair& p : kPairs) {
    rows.push_back({op.name, p.what, call(op.f), op.draw({p.a, p.b}), op.reference});
    // The gradient of a scalar is one sum of rounded terms of either sign, which may cancel.
    rows.back().slack = p.a.numel() == 1 ? 10 : op.slack;
  }
  rows[0].special = {{f64({}, {0, 4}), f64({1, 2, 3, 4}, {4})},
                     {f64({}, {2, 0}), f64({1, 2}, {2, 1})},
                     {f64({1}, {1}), f64({2}, {1, 1})},
                     op.large};
  const auto f = op.f;
  rows[0].bad = {
      {": shapes do not broadcast: a (2, 3), b (2)",
       [f] {
         return f(zeros({2, 3}), zeros({2}));
       }},
      {"got f32 on cpu, f16 on cpu; cast() or move what differs",
       [f] { return f(zeros({2}), zeros({2}, DType::f16)); }},
      {": needs a floating-point tensor, got i64", [f] { return f(arange(3), arange(3)); }}};
  return rows;
}

}  // namespace

std::vector<OpCase> elementwise_rows() {
  std::vector<OpCase> rows;
  for (const UnaryOp& op : unary_ops()) append(rows, rows_of(op));
  append(rows, cast_rows());
  for (const BinaryOp& op : binary_ops()) append(rows, rows_of(op));
  return rows;
}

}  // namespace diptych::table
