// autograd/op_table_rows.cpp — rows of the operator table: softmax, norms, cross-entropy, gather.
#include "autograd/op_table_parts.h"

namespace diptych::table {
namespace {

const std::vector<Inputs>& extreme_rows() {
  static const std::vector<Inputs> inputs = {{f64({}, {0, 3})},
                                             {f64({}, {3, 0})},
                                             {f64({7}, {1, 1})},
                                             {f64({1e4, -1e4, 0, 1e4, 1e4, 1e4}, {2, 3})},
                                             {f64({-1e4, -1e4, -1e4}, {3})}};
  return inputs;
}

struct NamedShape {
  const char* what;
  Shape shape;
};
const std::vector<NamedShape> kRows = {{"rows", {4, 7}},
                                       {"vector", {5}},
                                       {"three axes", {2, 3, 4}},
                                       {"long", {307, 67}},
                                       {"wide", {3, 2053}}};

std::vector<OpCase> row_wise(const char* name, OpFunction f, const OpFunction& reference) {
  std::vector<OpCase> rows;
  for (const NamedShape& s : kRows) rows.push_back({name, s.what, f, normal({s.shape}), reference});
  rows[0].special = extreme_rows();
  rows[0].bad = {{": needs a floating-point tensor, got i64", [f] { return f({arange(3)}); }},
                 {": needs at least one axis, got ()", [f] { return f({zeros({})}); }}};
  return rows;
}

}  // namespace

std::vector<OpCase> softmax_rows() {
  std::vector<OpCase> rows = row_wise("softmax", call(softmax), [](const Inputs& in) {
    const Tensor e = exp(in[0]);
    return e / sum(e, -1, true);
  });
  append(rows, row_wise("log_softmax", call(log_softmax),
                        [](const Inputs& in) { return in[0] - log(sum(exp(in[0]), -1, true)); }));
  return rows;
}

namespace {

OpFunction normalized(double eps) {
  return [eps](const Inputs& in) { return layer_norm(in[0], in[1], in[2], eps); };
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
  rows[0].bad = {{"layer_norm: x (2, 3) needs weight and bias (3), got (2) and (3)",
                  [] {
                    return layer_norm(zeros({2, 3}), zeros({2}), zeros({3}));
                  }},
                 {"layer_norm: x (2, 3) needs weight and bias (3), got (3) and (1)",
                  [] {
                    return layer_norm(zeros({2, 3}), zeros({3}), zeros({1}));
                  }},
                 {"layer_norm: x is f16 on cpu, weight f32 on cpu",
                  [] { return layer_norm(zeros({3}, DType::f16), zeros({3}), zeros({3})); }},
                 {"layer_norm: needs at least one axis",
                  [] { return layer_norm(zeros({}), zeros({1}), zeros({1})); }},
                 {"layer_norm: needs a floating-point tensor",
                  [] { return layer_norm(arange(3), arange(3), arange(3)); }}};
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

namespace {

OpFunction entropy_of(const std::vector<int64_t>& target) {
  return [t = i64(target)](const Inputs& in) { return cross_entropy(in[0], t.to(in[0].device())); };
}

// Element (n, target[n]) of log_softmax, picked from the flattened matrix.
OpFunction entropy_by_gather(const std::vector<int64_t>& target) {
  return [target](const Inputs& in) {
    std::vector<int64_t> picks;
    for (int64_t t : target) picks.push_back(in[0].dim(1) * static_cast<int64_t>(picks.size()) + t);
    return -mean(rearrange(log_softmax(in[0]), picks, {in[0].dim(0)}));
  };
}

std::vector<int64_t> cyclic(int64_t n, int64_t step, int64_t size) {
  std::vector<int64_t> values;
  for (int64_t i = 0; i < n; ++i) values.push_back(i * step % size);
  return values;
}

std::vector<OpCase> cross_entropy_rows() {
  const auto row = [](const char* what, Shape logits, const std::vector<int64_t>& target) {
    return OpCase{"cross_entropy", what, entropy_of(target), normal({logits}),
                  entropy_by_gather(target)};
  };
  std::vector<OpCase> rows = {row("rows", {4, 5}, {1, 0, 4, 1}), row("one row", {1, 3}, {2}),
                              row("one class", {2, 1}, {0, 0}),
                              row("long", {307, 41}, cyclic(307, 7, 41)),
                              row("wide", {3, 2053}, {5, 2052, 0})};
  rows[1].special = {{f64({1e4, -1e4, 1e4}, {1, 3})}, {f64({1e4, 1e4, -1e4}, {1, 3})}};
  const Tensor target = i64({0, 1});
  rows[0].bad = {{"cross_entropy: target 3 is out of range [0, 3)",
                  [] {
                    return cross_entropy(zeros({2, 3}), i64({0, 3}));
                  }},
                 {"cross_entropy: target -1 is out of range",
                  [] {
                    return cross_entropy(zeros({2, 3}), i64({-1, 0}));
                  }},
                 {"cross_entropy: needs logits (N, V) with N > 0",
                  [] {
                    return cross_entropy(zeros({0, 3}), i64({}));
                  }},
                 {"got (3, 3) and i64 (2)",
                  [target] {
                    return cross_entropy(zeros({3, 3}), target);
                  }},
                 {"got (2) and i64 (2)", [target] { return cross_entropy(zeros({2}), target); }},
                 {"and f32 (2)",
                  [] {
                    return cross_entropy(zeros({2, 3}), zeros({2}));
                  }},
                 {"cross_entropy: needs a floating-point tensor", [target] {
                    return cross_entropy(zeros({2, 3}, DType::i64), target);
                  }}};
  return rows;
}

OpFunction gathered(const std::vector<int64_t>& index) {
  return [t = i64(index)](const Inputs& in) { return gather_rows(in[0], t.to(in[0].device())); };
}

OpFunction gathered_by_slices(const std::vector<int64_t>& index) {
  return [index](const Inputs& in) {
    Inputs picked = {slice(in[0], 0, 0, 0)};
    for (int64_t i : index) picked.push_back(slice(in[0], 0, i, i + 1));
    return cat(picked, 0);
  };
}

std::vector<OpCase> gather_rows_rows() {
  const auto row = [](const char* what, Shape x, const std::vector<int64_t>& index) {
    return OpCase{"gather_rows", what, gathered(index), normal({x}), gathered_by_slices(index)};
  };
  std::vector<OpCase> rows = {row("some twice, some never", {5, 3}, {4, 0, 4, 1, 4}),
                              row("nothing", {3, 2}, {}), row("one", {1, 1}, {0, 0}),
                              row("long", {37, 65}, cyclic(501, 5, 37)),
                              row("large table", {1009, 3}, cyclic(50, 101, 1009))};
  rows[1].special = {{f64({}, {0, 3})}, {f64({}, {3, 0})}};
  rows[0].bad = {{"gather_rows: index 2 is out of range [0, 2)",
                  [] {
                    return gather_rows(zeros({2, 3}), i64({0, 2}));
                  }},
                 {"gather_rows: index -1 is out of range",
                  [] {
                    return gather_rows(zeros({2, 3}), i64({-1}));
                  }},
                 {"gather_rows: index 0 is out of range [0, 0)",
                  [] {
                    return gather_rows(zeros({0, 3}), i64({0}));
                  }},
                 {"got (3) and i64 (1)", [] { return gather_rows(zeros({3}), i64({0})); }},
                 {"and f32 (1)",
                  [] {
                    return gather_rows(zeros({3, 1}), zeros({1}));
                  }},
                 {"gather_rows: needs a floating-point table", [] {
                    return gather_rows(zeros({3, 1}, DType::i64), i64({0}));
                  }}};
  return rows;
}

}  // namespace

std::vector<OpCase> loss_rows() {
  std::vector<OpCase> rows = cross_entropy_rows();
  append(rows, gather_rows_rows());
  return rows;
}

}  // namespace diptych::table
