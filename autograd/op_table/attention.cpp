// autograd/op_table/attention.cpp — rows of the operator table: attention.
#include <cmath>

#include "autograd/op_table/parts.h"

namespace diptych::table {
namespace {

using Offsets = std::vector<int64_t>;

Ragged layout_of(const Offsets& offsets) { return Ragged::of_offsets(i64(offsets)); }

OpFunction attended(const Offsets& offsets, int64_t heads, bool causal) {
  return [=, layout = layout_of(offsets)](const Inputs& in) {
    return attention(in[0], layout.to(in[0].device()), heads, causal);
  };
}

// (T, T): -1e30 where row t may not see column u > t. Its exponential is 0, its products are not
// NaN.
Tensor causal_mask(int64_t T) {
  Tensor mask = zeros({T, T}, DType::f64);
  for (int64_t t = 0; t < T; ++t)
    for (int64_t u = t + 1; u < T; ++u) mask.data<double>()[t * T + u] = -1e30;
  return mask;
}

// softmax(q kᵀ / √width) v of one head of one sequence.
Tensor attended_plainly(const Tensor& q, const Tensor& k, const Tensor& v, bool causal) {
  Tensor scores = matmul(q, transpose(k, 0, 1)) / std::sqrt(static_cast<double>(q.dim(1)));
  if (causal) scores = scores + causal_mask(q.dim(0));
  return matmul(softmax(scores), v);
}

// One head of one sequence: q, k, v are columns [h D/H, …) of the three thirds of its rows.
Tensor one_head(const Tensor& rows, int64_t h, int64_t heads, bool causal) {
  const int64_t D = rows.dim(1) / 3, width = D / heads;
  const auto part = [&](int64_t third) {
    return slice(rows, 1, third * D + h * width, third * D + (h + 1) * width);
  };
  return attended_plainly(part(0), part(1), part(2), causal);
}

OpFunction attended_one_by_one(const Offsets& offsets, int64_t heads, bool causal) {
  return [=](const Inputs& in) {
    Inputs sequences = {slice(in[0], 1, 0, in[0].dim(1) / 3)};  // no rows of it: keeps the shape
    sequences[0] = slice(sequences[0], 0, 0, 0);
    for (size_t s = 0; s + 1 < offsets.size(); ++s) {
      const Tensor rows = slice(in[0], 0, offsets[s], offsets[s + 1]);
      if (rows.dim(0) == 0) continue;
      Inputs parts;
      for (int64_t h = 0; h < heads; ++h) parts.push_back(one_head(rows, h, heads, causal));
      sequences.push_back(cat(parts, 1));
    }
    return cat(sequences, 0);
  };
}

struct NamedBatch {
  const char* what;
  Offsets offsets;
  int64_t width, heads;
};

std::vector<BadCall> attention_errors() {
  const auto with = [](Shape qkv, const Offsets& offsets, int64_t heads) {
    return [=] { return attention(zeros(qkv), layout_of(offsets), heads, false); };
  };
  return {
      {"needs qkv (ΣT, 3 D) with D a multiple of 2 heads, got (4, 9)", with({4, 9}, {0, 4}, 2)},
      {"got (4, 8)", with({4, 8}, {0, 4}, 2)},
      {"got (2, 4, 6)", with({2, 4, 6}, {0, 2}, 1)},
      {"got (4, 6)", with({4, 6}, {0, 4}, 0)},
      {"attention: a layout of 3 rows on cpu does not fit (4, 6) on cpu", with({4, 6}, {0, 3}, 1)},
      {"ragged: offsets must rise from 0", with({4, 6}, {1, 4}, 1)},
      {"ragged: offsets must rise from 0", with({4, 6}, {0, 3, 2, 4}, 1)},
      {"ragged: offsets must be i64 (B+1), got i64 (0)", with({4, 6}, {}, 1)},
      {"attention: needs a floating-point tensor", [] {
         return attention(zeros({4, 6}, DType::i64), layout_of({0, 4}), 1, false);
       }}};
}

std::vector<OpCase> self_attention_rows() {
  // Lengths of none, one and beyond a tile, of which none is a multiple of a vector.
  const std::vector<NamedBatch> batches = {{"one sequence", {0, 4}, 4, 1},
                                           {"ragged", {0, 3, 3, 4, 9}, 8, 2},
                                           {"narrow heads", {0, 2, 5}, 6, 3},
                                           {"heads of one", {0, 3}, 3, 3},
                                           {"nothing", {0}, 4, 2},
                                           {"empty sequences", {0, 0, 0}, 4, 2},
                                           {"beyond a tile", {0, 70, 71, 71, 350}, 24, 2}};
  std::vector<OpCase> rows;
  for (const NamedBatch& b : batches) {
    for (bool causal : {false, true}) {
      rows.push_back({"attention", std::string(b.what) + (causal ? ", causal" : ""),
                      attended(b.offsets, b.heads, causal),
                      normal({{b.offsets.back(), 3 * b.width}}),
                      attended_one_by_one(b.offsets, b.heads, causal)});
    }
  }
  std::vector<double> large;
  for (int i = 0; i < 4 * 12; ++i) large.push_back(i % 5 == 0 ? 100 : -10.0 * (i % 7));
  rows[0].special = rows[1].special = {{f64(large, {4, 12})}};
  rows[0].bad = attention_errors();
  return rows;
}

// Every head of every sequence by itself.
Tensor pooled_one_by_one(const Inputs& in, const Offsets& offsets, int64_t heads) {
  const int64_t D = in[0].dim(1), width = D / heads;
  Inputs rows = {slice(in[0], 0, 0, 0)};  // keeps the shape
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    const auto row = static_cast<int64_t>(s);
    const Tensor q = slice(in[0], 0, row, row + 1),
                 kv = slice(in[1], 0, offsets[s], offsets[s + 1]);
    Inputs parts;
    for (int64_t from = 0; from < D; from += width) {
      const auto part = [&](const Tensor& x, int64_t at) { return slice(x, 1, at, at + width); };
      parts.push_back(attended_plainly(part(q, from), part(kv, from), part(kv, D + from), false));
    }
    rows.push_back(cat(parts, 1));
  }
  return cat(rows, 0);
}

OpCase pool_row(const NamedBatch& b) {
  const auto B = static_cast<int64_t>(b.offsets.size()) - 1;
  return {"attention_pool", b.what,
          [=, layout = layout_of(b.offsets)](const Inputs& in) {
            return attention_pool(in[0], in[1], layout.to(in[0].device()), b.heads);
          },
          normal({{B, b.width}, {b.offsets.back(), 2 * b.width}}),
          [=](const Inputs& in) { return pooled_one_by_one(in, b.offsets, b.heads); }};
}

std::vector<BadCall> pool_errors() {
  const auto with = [](Shape q, Shape kv, const Offsets& offsets, int64_t heads) {
    return [=] { return attention_pool(zeros(q), zeros(kv), layout_of(offsets), heads); };
  };
  return {{"needs q (B, D) and kv (ΣT, 2 D) of its dtype beside it, D a multiple of 3 heads, got "
           "f32 (2, 4) and f32 (5, 8)",
           with({2, 4}, {5, 8}, {0, 2, 5}, 3)},
          {"f32 (2, 4) and f32 (5, 4)", with({2, 4}, {5, 4}, {0, 2, 5}, 1)},
          {"f32 (8) and", with({8}, {5, 16}, {0, 5}, 1)},
          {"and f32 (5)", with({2, 4}, {5}, {0, 2, 5}, 1)},
          {"attention_pool: 2 queries for 1 sequences", with({2, 4}, {5, 8}, {0, 5}, 1)},
          {"attention_pool: a layout of 4 rows on cpu does not fit (5, 8) on cpu",
           with({2, 4}, {5, 8}, {0, 2, 4}, 1)},
          {"attention_pool: needs a floating-point tensor", [] {
             return attention_pool(zeros({1, 2}, DType::i64), zeros({3, 4}, DType::i64),
                                   layout_of({0, 3}), 1);
           }}};
}

std::vector<OpCase> attention_pool_rows() {
  std::vector<OpCase> rows;
  for (const NamedBatch& b :
       {NamedBatch{"one sequence", {0, 4}, 4, 1}, NamedBatch{"ragged", {0, 3, 4, 9}, 8, 2},
        NamedBatch{"narrow heads", {0, 2, 5}, 6, 3}, NamedBatch{"heads of one", {0, 3}, 3, 3},
        NamedBatch{"nothing", {0}, 4, 2}, NamedBatch{"wide heads", {0, 70, 71, 130}, 80, 2}})
    rows.push_back(pool_row(b));
  std::vector<double> large;
  for (int i = 0; i < 4 * 8; ++i) large.push_back(i % 5 == 0 ? 100 : -10.0 * (i % 7));
  rows[0].special = {{f64({100, -50, 20, 1}, {1, 4}), f64(large, {4, 8})}};
  rows[0].bad = pool_errors();
  return rows;
}

}  // namespace

std::vector<OpCase> attention_rows() {
  std::vector<OpCase> rows = self_attention_rows();
  append(rows, attention_pool_rows());
  return rows;
}

}  // namespace diptych::table
