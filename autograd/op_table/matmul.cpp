// autograd/op_table/matmul.cpp — rows of the operator table: matrix products.
#include "autograd/op_table/parts.h"
#include "tensor/scalar_ops.h"

namespace diptych::table {
namespace {

Tensor add_axis(const Tensor& x, int where) {
  Shape shape;
  for (int i = 0; i <= x.rank(); ++i) {
    if (i == where) shape.push_back(1);
    if (i < x.rank()) shape.push_back(x.dim(i));
  }
  return reshape(x, shape);
}

// (…, M, K, 1) · (…, 1, K, N), summed over K.
Tensor product_by_sum(const Tensor& a, const Tensor& b) {
  return sum(add_axis(a, a.rank()) * add_axis(b, b.rank() - 2), -2);
}

struct NamedPair {
  const char* what;
  Shape a, b;
};
// The long ones are beyond every tile and panel of a kernel, and no multiple of any.
const std::vector<NamedPair> kPairs = {{"matrices", {3, 4}, {4, 5}},
                                       {"numbers", {1, 1}, {1, 1}},
                                       {"primes", {7, 13}, {13, 11}},
                                       {"outer product", {5, 1}, {1, 7}},
                                       {"inner product", {1, 19}, {19, 1}},
                                       {"row by matrix", {1, 67}, {67, 33}},
                                       {"batches", {2, 3, 4}, {2, 4, 5}},
                                       {"batch on the left", {2, 3, 4}, {4, 5}},
                                       {"batch on the right", {3, 4}, {2, 4, 5}},
                                       {"batches broadcast", {2, 1, 3, 4}, {3, 4, 2}},
                                       {"inner axis of nothing", {3, 0}, {0, 2}},
                                       {"no rows", {0, 3}, {3, 2}},
                                       {"many small", {33, 5, 9}, {33, 9, 6}},
                                       {"tall", {301, 7}, {7, 19}},
                                       {"deep", {5, 523}, {523, 3}},
                                       {"large", {131, 67}, {67, 149}}};

Tensor turn(const Tensor& x) { return transpose(x, -1, -2); }

std::vector<OpCase> product_rows() {
  std::vector<OpCase> rows;
  const OpFunction reference = call(product_by_sum);
  for (const NamedPair& p : kPairs) {
    rows.push_back({"matmul", p.what, call(matmul), normal({p.a, p.b}), reference});
  }
  const auto view = [&](const char* what, Tensor (*f)(const Tensor&, const Tensor&), Shape a,
                        Shape b, Tensor (*same)(const Tensor&, const Tensor&)) {
    rows.push_back({"matmul", what, call(f), normal({a, b}), call(same)});
  };
  view(
      "a transposed", [](const Tensor& a, const Tensor& b) { return matmul(turn(a), b); }, {7, 5},
      {7, 9}, [](const Tensor& a, const Tensor& b) { return product_by_sum(turn(a), b); });
  view(
      "b transposed", [](const Tensor& a, const Tensor& b) { return matmul(a, turn(b)); },
      {2, 5, 7}, {2, 9, 7},
      [](const Tensor& a, const Tensor& b) { return product_by_sum(a, turn(b)); });
  view(
      "sliced", [](const Tensor& a, const Tensor& b) { return matmul(slice(a, 1, 2, 6), b); },
      {3, 8}, {4, 5},
      [](const Tensor& a, const Tensor& b) { return product_by_sum(slice(a, 1, 2, 6), b); });
  rows[0].special = {{f64({}, {0, 0}), f64({}, {0, 4})}, {f64({1e4}, {1, 1}), f64({-4}, {1, 1})}};
  rows[0].bad = {{"matmul: inner dimensions differ: a (2, 3), b (2, 3)",
                  [] {
                    return matmul(zeros({2, 3}), zeros({2, 3}));
                  }},
                 {"matmul: inner dimensions differ: a (3), b (3, 2)",
                  [] {
                    return matmul(zeros({3}), zeros({3, 2}));
                  }},
                 {"matmul: shapes do not broadcast: a (2), b (3)",
                  [] {
                    return matmul(zeros({2, 1, 1}), zeros({3, 1, 1}));
                  }},
                 {"matmul: needs operands of one dtype on one device, got f32 on cpu, bf16 on cpu",
                  [] {
                    return matmul(zeros({1, 1}), zeros({1, 1}, DType::bf16));
                  }},
                 {"matmul: needs a floating-point tensor, got i64", [] {
                    return matmul(zeros({1, 1}, DType::i64), zeros({1, 1}, DType::i64));
                  }}};
  return rows;
}

Tensor if_any(const Inputs& in, size_t i) { return i < in.size() ? in[i] : Tensor(); }

// As the definition says it: x wᵀ + b + residual. The first axes of x become rows, since matmul
// needs two axes.
Tensor linear_by_matmul(const Inputs& in) {
  Shape shape = in[0].shape();
  shape[shape.rank() - 1] = 1;
  const int64_t M = shape.numel();
  shape[shape.rank() - 1] = in[1].dim(0);
  Tensor y = reshape(matmul(reshape(in[0], {M, in[1].dim(1)}), transpose(in[1], 0, 1)), shape);
  for (size_t i = 2; i < in.size(); ++i) y = y + in[i];
  return y;
}

Tensor linear_of(const Inputs& in) { return linear(in[0], in[1], if_any(in, 2), if_any(in, 3)); }

std::vector<OpCase> linear_rows() {
  const auto row = [](const char* what, std::vector<Shape> shapes) -> OpCase {
    return {"linear", what, linear_of, normal(std::move(shapes)), linear_by_matmul};
  };
  std::vector<OpCase> rows = {
      row("matrix", {{4, 5}, {3, 5}, {3}}),
      row("no bias", {{4, 5}, {3, 5}}),
      row("vector", {{5}, {3, 5}, {3}}),
      row("three axes", {{2, 3, 4}, {5, 4}, {5}}),
      row("no rows", {{0, 4}, {3, 4}, {3}}),
      row("no columns", {{2, 0}, {3, 0}, {3}}),
      row("no outputs", {{2, 3}, {0, 3}, {0}}),
      row("large", {{5, 31, 65}, {97, 65}, {97}}),
      row("residual", {{2, 3, 4}, {5, 4}, {5}, {2, 3, 5}}),
      row("residual, large", {{61, 65}, {97, 65}, {97}, {61, 97}}),
  };
  rows[0].special = {{f64({1e4}, {1, 1}), f64({2}, {1, 1}), f64({-1}, {1})}};
  rows[0].bad = {{"linear: x (2, 3) does not fit w (4, 2) (N, K)",
                  [] {
                    return linear(zeros({2, 3}), zeros({4, 2}));
                  }},
                 {"linear: x () does not fit",
                  [] {
                    return linear(zeros({}), zeros({4, 2}));
                  }},
                 {"linear: bias must be (4)",
                  [] {
                    return linear(zeros({3}), zeros({4, 3}), zeros({3}));
                  }},
                 {"linear: residual (4) must have the shape of the result, (1, 4)",
                  [] {
                    return linear(zeros({1, 3}), zeros({4, 3}), {}, zeros({4}));
                  }},
                 {"got f32 on cpu, f32 on cpu, f64 on cpu",
                  [] {
                    return linear(zeros({3}), zeros({4, 3}), {}, zeros({4}, DType::f64));
                  }},
                 {"linear: needs operands of one dtype on one device, got f32 on cpu, f16 on cpu",
                  [] {
                    return linear(zeros({3}), zeros({4, 3}, DType::f16));
                  }},
                 {"got f32 on cpu, f32 on cpu, f16 on cpu",
                  [] {
                    return linear(zeros({3}), zeros({4, 3}), zeros({4}, DType::f16));
                  }},
                 {"linear: needs a floating-point tensor, got i64", [] {
                    return linear(zeros({3}, DType::i64), zeros({4, 3}, DType::i64));
                  }}};
  return rows;
}

std::vector<OpCase> linear_then_rows() {
  const auto row = [](const char* what, Unary f, std::vector<Shape> shapes) -> OpCase {
    const auto at_once = [f](const Inputs& in) {
      return linear_then(f, in[0], in[1], if_any(in, 2));
    };
    const auto apart = [f](const Inputs& in) { return unary(f, linear_by_matmul(in)); };
    OpCase result{"linear_then", what, at_once, normal(std::move(shapes)), apart};
    result.composed = true;
    return result;
  };
  return {row("gelu", Unary::gelu, {{4, 5}, {3, 5}, {3}}),
          row("tanh, no bias", Unary::tanh, {{2, 3, 4}, {5, 4}}),
          row("no rows", Unary::neg, {{0, 4}, {3, 4}, {3}}),
          row("large", Unary::quick_gelu, {{61, 65}, {97, 65}, {97}})};
}

// A function with a parameter in front of the product, a residual behind it.
std::vector<OpCase> linear_of_rows() {
  const OpFunction kept = [](const Inputs& in) {
    const auto f = [gain = in[3]](const Tensor& x) { return quick_gelu(x * gain); };
    return linear_of(f, in[0], in[1], in[2], if_any(in, 4));
  };
  const OpFunction plain = [](const Inputs& in) {
    const Tensor y = linear(quick_gelu(in[0] * in[3]), in[1], in[2]);
    return in.size() > 4 ? y + in[4] : y;
  };
  const auto row = [&](const char* what, std::vector<Shape> shapes) -> OpCase {
    return {"linear_of", what, kept, normal(std::move(shapes)), plain};
  };
  std::vector<OpCase> rows = {
      row("matrix", {{4, 5}, {3, 5}, {3}, {5}}), row("three axes", {{2, 3, 4}, {5, 4}, {5}, {4}}),
      row("no rows", {{0, 4}, {3, 4}, {3}, {4}}), row("large", {{61, 65}, {97, 65}, {97}, {65}}),
      row("residual", {{4, 5}, {3, 5}, {3}, {5}, {4, 3}})};
  rows[0].bad = {{"linear: x (2, 3) does not fit w (4, 2)", [] {
                    const auto same = [](const Tensor& x) { return x; };
                    return linear_of(same, zeros({2, 3}), zeros({4, 2}));
                  }}};
  return rows;
}

// An operator in front of the product: one that keeps its input, one that keeps its output, one
// that keeps nothing.
std::vector<OpCase> linear_of_operator_rows() {
  const auto row = [](const char* what, Unary f, std::vector<Shape> shapes) -> OpCase {
    return {
        "linear_of", what,
        [f](const Inputs& in) { return linear_of(f, in[0], in[1], if_any(in, 2), if_any(in, 3)); },
        normal(std::move(shapes)),
        [f](const Inputs& in) {
          const Tensor y = linear(unary(f, in[0]), in[1], if_any(in, 2));
          return in.size() > 3 ? y + in[3] : y;
        }};
  };
  std::vector<OpCase> rows = {row("quick_gelu", Unary::quick_gelu, {{4, 5}, {3, 5}, {3}, {4, 3}}),
                              row("tanh, no bias", Unary::tanh, {{2, 3, 4}, {5, 4}}),
                              row("neg, no rows", Unary::neg, {{0, 4}, {3, 4}, {3}}),
                              row("gelu, large", Unary::gelu, {{61, 65}, {97, 65}, {97}})};
  rows[0].bad = {{"linear: x (2, 3) does not fit w (4, 2)", [] {
                    return linear_of(Unary::gelu, zeros({2, 3}), zeros({4, 2}));
                  }}};
  return rows;
}

}  // namespace

std::vector<OpCase> matmul_rows() {
  std::vector<OpCase> rows = product_rows();
  append(rows, linear_rows());
  append(rows, linear_then_rows());
  append(rows, linear_of_rows());
  append(rows, linear_of_operator_rows());
  return rows;
}

}  // namespace diptych::table
