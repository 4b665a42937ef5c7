// autograd/op_table/shape.cpp — rows of the operator table: views, joins and their adjoints.
#include <numeric>

#include "autograd/op_table/parts.h"

namespace diptych::table {
namespace {

OpFunction reshaped(Shape to) {
  return [to](const Inputs& in) { return reshape(in[0], to); };
}

std::vector<OpCase> reshape_rows() {
  // In plain values; the gradient has gradcheck.
  const auto values = [](Shape to) -> OpFunction {
    return [to](const Inputs& in) { return from_vector(in[0].to_vector<double>(), to); };
  };
  return {
      {"reshape",
       "split",
       reshaped({3, -1}),
       normal({{2, 6}}),
       values({3, 4}),
       {{f64({}, {0, 6})}, {f64({1, 2, 3}, {3})}},
       {{"cannot see (2, 3) as (4, -1)",
         [] {
           return reshape(zeros({2, 3}), {4, -1});
         }},
        {"cannot see (2, 3) as (7)",
         [] {
           return reshape(zeros({2, 3}), {7});
         }},
        {"bad shape (-1, -1)",
         [] {
           return reshape(zeros({2, 3}), {-1, -1});
         }}}},
      {"reshape", "flatten", reshaped({-1}), normal({{2, 3, 4}}), values({24})},
      {"reshape", "scalar", reshaped({1, 1, 1}), normal({{}}), values({1, 1, 1})},
  };
}

OpCase transposed(const char* what, Shape from, int a, int b) {
  const auto reference = [a, b](const Inputs& in) {
    const Shape& shape = in[0].shape();
    std::vector<int64_t> order;
    for (double i : arange(shape.numel()).view(shape).transpose(a, b).to_vector<double>()) {
      order.push_back(static_cast<int64_t>(i));
    }
    return rearrange(in[0], order, in[0].transpose(a, b).shape());
  };
  return {"transpose", what, [a, b](const Inputs& in) { return transpose(in[0], a, b); },
          normal({from}), reference};
}

std::vector<OpCase> transpose_rows() {
  std::vector<OpCase> rows = {transposed("matrix", {3, 4}, 0, 1),
                              transposed("outer axes", {2, 3, 4}, 0, -1),
                              transposed("middle axes", {2, 3, 4, 5}, 1, 2),
                              transposed("an axis with itself", {3, 2}, 1, 1)};
  rows[0].special = {{f64({}, {0, 4})}, {f64({1}, {1, 1})}};
  rows[0].bad = {{"transpose: axis 2 is out of range for rank 2", [] {
                    return transpose(zeros({2, 3}), 0, 2);
                  }}};
  return rows;
}

// n rows of the unit matrix from `begin` on, out of `size`.
Tensor selection(int64_t begin, int64_t n, int64_t size) {
  Tensor s = zeros({n, size}, DType::f64);
  for (int64_t i = 0; i < n; ++i) s.data<double>()[i * size + begin + i] = 1;
  return s;
}

OpFunction sliced(int axis, int64_t begin, int64_t end) {
  return [=](const Inputs& in) { return slice(in[0], axis, begin, end); };
}

std::vector<OpCase> slice_rows() {
  return {
      {"slice",
       "rows",
       sliced(0, 1, 3),
       normal({{4, 3}}),
       [](const Inputs& in) { return matmul(selection(1, 2, 4), in[0]); },
       {{f64({}, {4, 0})}},
       {{"slice: [1, 5) is out of range for axis 0 of (4, 3)",
         [] {
           return slice(zeros({4, 3}), 0, 1, 5);
         }},
        {"slice: [-1, 2)", [] { return slice(zeros({4}), 0, -1, 2); }},
        {"slice: [3, 2)", [] { return slice(zeros({4}), 0, 3, 2); }},
        {"slice: axis 1", [] { return slice(zeros({4}), 1, 0, 1); }}}},
      {"slice", "columns", sliced(-1, 2, 5), normal({{3, 5}}),
       [](const Inputs& in) { return matmul(in[0], transpose(selection(2, 3, 5), 0, 1)); }},
      {"slice", "middle axis", sliced(1, 0, 2), normal({{2, 3, 4}}),
       [](const Inputs& in) { return matmul(selection(0, 2, 3), in[0]); }},
      {"slice", "of nothing", sliced(0, 2, 2), normal({{4, 3}}),
       [](const Inputs& in) { return matmul(selection(2, 0, 4), in[0]); }},
      {"slice", "everything", sliced(0, 0, 4), normal({{4}}),
       [](const Inputs& in) { return in[0] * 1; }},
  };
}

OpCase expanded(const char* what, Shape from, Shape to) {
  return {"expand", what, [to](const Inputs& in) { return expand(in[0], to); }, normal({from}),
          [to](const Inputs& in) { return in[0] * full(to, 1, DType::f64); }};
}

std::vector<OpCase> expand_rows() {
  std::vector<OpCase> rows = {
      expanded("column", {3, 1}, {3, 4}),  expanded("new axes", {4}, {2, 3, 4}),
      expanded("scalar", {}, {2, 3}),      expanded("inner axis", {2, 1, 3}, {2, 5, 3}),
      expanded("nothing", {2, 3}, {2, 3}), expanded("long", {1, 131}, {311, 131})};
  rows[0].special = {{f64({}, {0, 1})}};
  rows[0].f = [](const Inputs& in) { return expand(in[0], {in[0].dim(0), 4}); };
  rows[0].bad = {{"expand: cannot expand (2, 3) to (2, 4)",
                  [] {
                    return expand(zeros({2, 3}), {2, 4});
                  }},
                 {"expand: cannot expand (2, 3) to (3)", [] {
                    return expand(zeros({2, 3}), {3});
                  }}};
  return rows;
}

OpFunction joined(int axis) {
  return [axis](const Inputs& in) { return cat(in, axis); };
}

// Σ Pᵢᵀ xᵢ with Pᵢ the rows of the unit matrix where xᵢ goes: cat along the first of two axes.
Tensor joined_by_products(const Inputs& in) {
  int64_t size = 0, begin = 0;
  for (const Tensor& x : in) size += x.dim(0);
  Tensor y = zeros({size, in[0].dim(1)}, DType::f64);
  for (const Tensor& x : in) {
    y = y + matmul(transpose(selection(begin, x.dim(0), size), 0, 1), x);
    begin += x.dim(0);
  }
  return y;
}

std::vector<OpCase> cat_rows() {
  const auto turned = [](const Inputs& in) {
    Inputs columns;
    for (const Tensor& x : in) columns.push_back(transpose(x, 0, 1));
    return transpose(joined_by_products(columns), 0, 1);
  };
  return {
      {"cat",
       "rows",
       joined(0),
       normal({{2, 3}, {1, 3}, {4, 3}}),
       joined_by_products,
       {{f64({}, {0, 3}), f64({}, {0, 3})}},
       {{"cat: needs at least one tensor", [] { return cat({}, 0); }},
        {"cat: shapes differ off axis 0: (2, 3) and (2, 4)",
         [] {
           return cat({zeros({2, 3}), zeros({2, 4})}, 0);
         }},
        {"cat: shapes differ off axis 0: (2) and (2, 1)",
         [] {
           return cat({zeros({2}), zeros({2, 1})}, 0);
         }},
        {"cat: needs operands of one dtype on one device, got f32 on cpu, f16 on cpu",
         [] {
           return cat({zeros({2}), zeros({2}, DType::f16)}, 0);
         }},
        {"cat: axis 1 is out of range", [] { return cat({zeros({2})}, 1); }}}},
      {"cat", "columns", joined(-1), normal({{2, 3}, {2, 1}, {2, 4}}), turned},
      {"cat", "one", joined(0), normal({{2, 3}}), joined_by_products},
      {"cat", "with nothing", joined(0), normal({{2, 3}, {0, 3}}), joined_by_products},
      {"cat", "middle axis", joined(1), normal({{2, 3, 2}, {2, 1, 2}})},
  };
}

// Where element (b, row p_row column, c y x) of the patches comes from.
std::vector<int64_t> patch_order(const Shape& x, int64_t p) {
  const int64_t B = x[0], C = x[1], H = x[2], W = x[3];
  std::vector<int64_t> order;
  for (int64_t b = 0; b < B; ++b)
    for (int64_t top = 0; top < H; top += p)
      for (int64_t left = 0; left < W; left += p)
        for (int64_t c = 0; c < C; ++c)
          for (int64_t i = 0; i < p * p; ++i)
            order.push_back(((b * C + c) * H + top + i / p) * W + left + i % p);
  return order;
}

OpCase patched(const char* what, Shape from, int64_t p) {
  const auto reference = [p](const Inputs& in) {
    const Shape& x = in[0].shape();
    return rearrange(in[0], patch_order(x, p), {x[0], x[2] / p * (x[3] / p), x[1] * p * p});
  };
  OpCase row = {"patches", what, [p](const Inputs& in) { return patches(in[0], p); },
                normal({from}), reference};
  row.composed = true;
  return row;
}

std::vector<OpCase> patches_rows() {
  std::vector<OpCase> rows = {patched("squares of two", {2, 3, 4, 6}, 2),
                              patched("pixels", {1, 2, 3, 2}, 1), patched("one", {2, 1, 3, 3}, 3)};
  rows[0].special = {{f64({}, {0, 3, 4, 6})}};
  rows[0].bad = {{"patches: needs (B, C, H, W) with H and W multiples of 2, got (1, 3, 4, 5)",
                  [] {
                    return patches(zeros({1, 3, 4, 5}), 2);
                  }},
                 {"patches: needs",
                  [] {
                    return patches(zeros({3, 4, 4}), 2);
                  }},
                 {"patches: needs", [] {
                    return patches(zeros({1, 3, 4, 4}), 0);
                  }}};
  return rows;
}

}  // namespace

std::vector<OpCase> shape_rows() {
  std::vector<OpCase> rows;
  for (const auto& part :
       {reshape_rows, transpose_rows, slice_rows, expand_rows, cat_rows, patches_rows}) {
    append(rows, part());
  }
  return rows;
}

}  // namespace diptych::table
