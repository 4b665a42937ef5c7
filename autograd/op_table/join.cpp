// autograd/op_table/join.cpp — rows of the operator table: joined, cut up, cut into patches.
#include "autograd/op_table/parts.h"

namespace diptych::table {
namespace {

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

// Element e of tensor k of a stack along an axis with `inner` elements behind it.
OpCase stacked(const char* what, Shape each, int axis, Shape to, int64_t inner) {
  const auto reference = [=](const Inputs& in) {
    const auto n = static_cast<int64_t>(in.size());
    std::vector<int64_t> order;
    for (int64_t e = 0; e < to.numel(); ++e)
      order.push_back(e / inner % n * each.numel() + e / (inner * n) * inner + e % inner);
    Inputs flat;
    for (const Tensor& x : in) flat.push_back(reshape(x, {-1}));
    return rearrange(cat(flat, 0), order, to);
  };
  OpCase row = {"stack", what, [axis](const Inputs& in) { return stack(in, axis); },
                normal({each, each, each}), reference};
  row.composed = true;
  return row;
}

std::vector<OpCase> stack_rows() {
  std::vector<OpCase> rows = {stacked("in front", {2, 4}, 0, {3, 2, 4}, 8),
                              stacked("in the middle", {2, 4}, 1, {2, 3, 4}, 4),
                              stacked("behind", {2, 4}, -1, {2, 4, 3}, 1),
                              stacked("scalars", {}, 0, {3}, 1)};
  rows[0].special = {{f64({}, {0, 3}), f64({}, {0, 3})}};
  rows[0].bad = {
      {"stack: needs at least one tensor", [] { return stack({}, 0); }},
      {"stack: shapes differ: (2) and (3)",
       [] {
         return stack({zeros({2}), zeros({3})}, 0);
       }},
      {"stack: axis 2 is out of range for rank 2", [] { return stack({zeros({2})}, 2); }},
      {"cat: needs operands of one dtype on one device, got f32 on cpu, f16 on cpu", [] {
         return stack({zeros({2}), zeros({2}, DType::f16)}, 0);
       }}};
  return rows;
}

// The pieces in reverse order, each weighed by its number.
Tensor split_and_reversed(const Tensor& x, int64_t size, int axis) {
  std::vector<Tensor> out;
  for (const Tensor& piece : split(x, size, axis)) {
    out.insert(out.begin(), piece * static_cast<double>(out.size() + 1));
  }
  return cat(out, axis);
}

std::vector<OpCase> split_rows() {
  const auto row = [](const char* what, Shape from, int64_t size, int axis,
                      OpFunction reference) -> OpCase {
    return {"split", what, [=](const Inputs& in) { return split_and_reversed(in[0], size, axis); },
            normal({from}), reference};
  };
  std::vector<OpCase> rows = {
      row("rows, the last shorter", {5, 3}, 2, 0,
          [](const Inputs& in) {
            const Tensor& x = in[0];
            return cat({slice(x, 0, 4, 5) * 3, slice(x, 0, 2, 4) * 2, slice(x, 0, 0, 2)}, 0);
          }),
      row("columns", {3, 4}, 2, -1,
          [](const Inputs& in) {
            return cat({slice(in[0], 1, 2, 4) * 2, slice(in[0], 1, 0, 2)}, 1);
          }),
      row("one piece", {3, 4}, int64_t{1} << 62, 0, [](const Inputs& in) { return in[0] * 1; })};
  for (OpCase& c : rows) c.composed = true;
  rows[0].special = {{f64({}, {0, 3})}};
  rows[0].bad = {{"split: pieces of 0 of x (4)", [] { return split(zeros({4}), 0, 0)[0]; }},
                 {"split: axis 1 is out of range", [] { return split(zeros({4}), 1, 1)[0]; }}};
  return rows;
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
                 {"patches: needs",
                  [] {
                    return patches(zeros({1, 3, 4, 4}), 0);
                  }},
                 {"patches: squares of 4294967296 are impossible", [] {
                    return patches(zeros({1, 3, 0, 0}), int64_t{1} << 32);
                  }}};
  return rows;
}

}  // namespace

std::vector<OpCase> join_rows() {
  std::vector<OpCase> rows;
  for (const auto& part : {cat_rows, stack_rows, split_rows, patches_rows}) append(rows, part());
  return rows;
}

}  // namespace diptych::table
