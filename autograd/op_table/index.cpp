// autograd/op_table/index.cpp — rows of the operator table: rows by index.
#include "autograd/op_table/parts.h"

namespace diptych::table {
namespace {

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

OpFunction scattered(const std::vector<int64_t>& index, int64_t V) {
  return [t = i64(index), V](const Inputs& in) {
    return scatter_add_rows(in[0], t.to(in[0].device()), V);
  };
}

// By a product with the matrix that is 1 where index[i] = v.
OpFunction scattered_by_matrix(const std::vector<int64_t>& index, int64_t V) {
  return [index, V](const Inputs& in) {
    const auto N = static_cast<int64_t>(index.size());
    std::vector<double> ones(static_cast<size_t>(V * N), 0);
    for (int64_t i = 0; i < N; ++i)
      ones[static_cast<size_t>(index[static_cast<size_t>(i)] * N + i)] = 1;
    return matmul(f64(ones, {V, N}).to(in[0].dtype()).to(in[0].device()), in[0]);
  };
}

std::vector<OpCase> scattered_rows() {
  const auto row = [](const char* what, Shape x, const std::vector<int64_t>& index, int64_t V) {
    return OpCase{"scatter_add_rows", what, scattered(index, V), normal({x}),
                  scattered_by_matrix(index, V)};
  };
  std::vector<OpCase> rows = {row("some twice, some never", {5, 3}, {4, 0, 4, 1, 4}, 6),
                              row("one", {2, 1}, {0, 0}, 1),
                              row("long", {501, 65}, cyclic(501, 5, 37), 37)};
  rows[0].bad = {{"scatter_add_rows: index 2 is out of range [0, 2)",
                  [] {
                    return scatter_add_rows(zeros({2, 3}), i64({0, 2}), 2);
                  }},
                 {"got (2, 3) and i64 (1)",
                  [] {
                    return scatter_add_rows(zeros({2, 3}), i64({0}), 2);
                  }},
                 {"scatter_add_rows: no result can have -1 rows", [] {
                    return scatter_add_rows(zeros({1, 3}), i64({0}), -1);
                  }}};
  return rows;
}

}  // namespace

std::vector<OpCase> index_rows() {
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
                 {"gather_rows: needs a floating-point tensor", [] {
                    return gather_rows(zeros({3, 1}, DType::i64), i64({0}));
                  }}};
  append(rows, scattered_rows());
  return rows;
}

}  // namespace diptych::table
