// autograd/op_table/shape.cpp — rows of the operator table: views, joins and their adjoints.
#include <numeric>

#include "autograd/op_table/parts.h"

namespace diptych::table {
namespace {

constexpr int64_t kHuge = int64_t{1} << 32;  // its square is 0 in 64 bits

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
         }},
        {"cannot see (0) as (4294967296, 4294967296)",
         [] {
           return reshape(zeros({0}), {kHuge, kHuge});
         }},
        {"cannot see (0) as (4294967296, 4294967296, -1)",
         [] {
           return reshape(zeros({0}), {kHuge, kHuge, -1});
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

OpCase permuted(const char* what, Shape from, std::vector<int> axes) {
  const auto reference = [axes](const Inputs& in) {
    const Shape& shape = in[0].shape();
    const Shape strides = contiguous_strides(shape);
    Shape to;
    for (int axis : axes) to.push_back(in[0].dim(axis));
    std::vector<int64_t> order;
    for (int64_t e = 0; e < to.numel(); ++e) {
      int64_t at = 0, rest = e;
      for (int i = to.rank() - 1; i >= 0; --i) {
        at += rest % to[i] * strides[normalize_axis("", axes[static_cast<size_t>(i)], to.rank())];
        rest /= to[i];
      }
      order.push_back(at);
    }
    return rearrange(in[0], order, to);
  };
  OpCase row = {"permute", what, [axes](const Inputs& in) { return permute(in[0], axes); },
                normal({from}), reference};
  row.composed = true;
  return row;
}

std::vector<OpCase> permute_rows() {
  std::vector<OpCase> rows = {permuted("three in a circle", {2, 3, 4}, {2, 0, 1}),
                              permuted("back to front", {2, 3, 4, 5}, {-1, -2, -3, -4}),
                              permuted("four in a circle", {2, 3, 4, 5}, {1, 2, 3, 0}),
                              permuted("matrix", {3, 4}, {1, 0})};
  rows[0].special = {{f64({}, {2, 0, 3})}, {f64({1}, {1, 1, 1})}};
  const auto bad = [&](const char* message, std::vector<int> axes) {
    rows[0].bad.push_back({message, [axes] { return permute(zeros({2, 3, 4}), axes); }});
  };
  bad("permute: 2 axes for x (2, 3, 4)", {0, 1});
  bad("permute: axis 1 stands twice", {1, 0, 1});
  bad("permute: axis 0 stands twice", {0, -3, 1});
  bad("permute: axis 3 is out of range for rank 3", {0, 1, 3});
  return rows;
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

OpCase selected(const char* what, Shape from, int axis, int64_t i, int64_t row) {
  const auto reference = [=](const Inputs& in) {
    const Tensor first = axis == 0 ? in[0] : transpose(in[0], 0, axis);
    return reshape(matmul(selection(row, 1, first.dim(0)), first), {first.dim(1)});
  };
  return {"select", what, [=](const Inputs& in) { return select(in[0], axis, i); }, normal({from}),
          reference};
}

std::vector<OpCase> select_rows() {
  std::vector<OpCase> rows = {selected("row", {4, 3}, 0, 1, 1), selected("last", {4, 3}, 0, -1, 3),
                              selected("column", {4, 3}, -1, 0, 0),
                              selected("column from the back", {4, 3}, 1, -3, 0)};
  rows.push_back(
      {"select", "by operator[]", [](const Inputs& in) { return in[0][-2][1]; },
       normal({{3, 4, 2}}),
       [](const Inputs& in) { return reshape(slice(slice(in[0], 0, 1, 2), 1, 1, 2), {2}); }});
  rows[0].special = {{f64({}, {2, 0})}, {f64({1, 2}, {2, 1})}};
  const auto bad = [&](const char* message, int axis, int64_t i) {
    rows[0].bad.push_back({message, [=] { return select(zeros({4, 3}), axis, i); }});
  };
  bad("select: 4 is out of range for axis 0 of (4, 3)", 0, 4);
  bad("select: -5 is out of range for axis 0 of (4, 3)", 0, -5);
  bad("select: axis 2 is out of range for rank 2", 2, 0);
  rows[0].bad.push_back({"select: axis 0 is out of range for rank 0", [] { return zeros({})[0]; }});
  rows[0].bad.push_back({"select: 2 is out of range", [] { return zeros({2})[2]; }});
  return rows;
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
                 {"expand: cannot expand (2, 3) to (3)",
                  [] {
                    return expand(zeros({2, 3}), {3});
                  }},
                 {"expand: cannot expand (1, 1) to (4294967296, 4294967296)", [] {
                    return expand(zeros({1, 1}), {kHuge, kHuge});
                  }}};
  return rows;
}

}  // namespace

std::vector<OpCase> shape_rows() {
  std::vector<OpCase> rows;
  for (const auto& part :
       {reshape_rows, transpose_rows, permute_rows, slice_rows, select_rows, expand_rows}) {
    append(rows, part());
  }
  return rows;
}

}  // namespace diptych::table
