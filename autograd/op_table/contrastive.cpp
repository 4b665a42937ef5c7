// autograd/op_table/contrastive.cpp — rows of the operator table: losses of all pairs.
#include "autograd/op_table/parts.h"

namespace diptych::table {
namespace {

using Labels = std::vector<int64_t>;

Tensor label_of(const Labels& labels) { return labels.empty() ? Tensor() : i64(labels); }

OpFunction softmax_loss(const Labels& labels, int64_t tile) {
  return [=](const Inputs& in) { return contrastive(in[0], in[1], in[2], label_of(labels), tile); };
}

OpFunction binary_loss(const Labels& labels, int64_t tile) {
  return [=](const Inputs& in) {
    return contrastive_sigmoid(in[0], in[1], in[2], in[3], label_of(labels), tile);
  };
}

// (N, N): right where two labels are equal, else wrong.
Tensor by_label(const Labels& labels, int64_t N, double right, double wrong, const Tensor& like) {
  std::vector<double> values;
  for (int64_t i = 0; i < N; ++i)
    for (int64_t j = 0; j < N; ++j) {
      const bool same = labels.empty()
                            ? i == j
                            : labels[static_cast<size_t>(i)] == labels[static_cast<size_t>(j)];
      values.push_back(same ? right : wrong);
    }
  return f64(values, {N, N}).to(like.dtype()).to(like.device());
}

Tensor logits(const Inputs& in) { return in[2] * matmul(in[0], transpose(in[1], 0, 1)); }

// Cross-entropy of whole matrices against targets that rows share among what is right.
OpFunction plain_softmax(const Labels& labels) {
  return [=](const Inputs& in) {
    const Tensor x = logits(in), same = by_label(labels, in[0].dim(0), 1, 0, x);
    const Tensor target = same / sum(same, 1, true);
    const Tensor both = log_softmax(x) + transpose(log_softmax(transpose(x, 0, 1)), 0, 1);
    return mean(sum(target * both, 1)) * -0.5;
  };
}

OpFunction plain_sigmoid(const Labels& labels) {
  return [=](const Inputs& in) {
    const Tensor x = logits(in) + in[3], sign = by_label(labels, in[0].dim(0), 1, -1, x);
    return -mean(sum(log(sigmoid(sign * x)), 1));
  };
}

struct Case {
  const char* what;
  Shape shape;
  int64_t tile;
  Labels labels;
};

const std::vector<Case> kCases = {{"one tile", {5, 4}, 1024, {}},
                                  {"tiles, the last ones shorter", {7, 3}, 3, {}},
                                  {"tiles of one", {3, 2}, 1, {}},
                                  {"one pair", {1, 3}, 4, {}},
                                  {"several right", {6, 3}, 4, {5, -1, 5, 2, 5, 2}},
                                  {"all right", {3, 3}, 2, {8, 8, 8}},
                                  {"long", {131, 19}, 67, cyclic(131, 1, 100)},
                                  {"a wide tile", {1029, 2}, 1029, {}}};

std::vector<OpCase> contrastive_op_rows() {
  std::vector<OpCase> rows;
  for (const Case& c : kCases)
    rows.push_back({"contrastive", c.what, softmax_loss(c.labels, c.tile),
                    normal({c.shape, c.shape, {}}), plain_softmax(c.labels)});
  const Tensor far = f64({1e4, 0, 0, -1e4}, {2, 2}), one = f64({1}, {});
  rows[0].special = {{far, far, one},
                     {far, f64({0, 0, 0, 0}, {2, 2}), one},
                     {f64({3}, {1, 1}), f64({-2}, {1, 1}), one}};
  const Tensor x = zeros({2, 3}), s = full({}, 1);
  rows[0].bad = {
      {"contrastive: needs a and b (N, D), neither 0, and s (), got (2, 3), (3, 3) and ()",
       [=] {
         return contrastive(x, zeros({3, 3}), s);
       }},
      {"got (2, 3), (2, 3) and (1)", [=] { return contrastive(x, x, zeros({1})); }},
      {"got (0, 3)",
       [=] {
         return contrastive(zeros({0, 3}), zeros({0, 3}), s);
       }},
      {"got (2)", [=] { return contrastive(zeros({2}), zeros({2}), s); }},
      {"contrastive: needs a floating-point tensor",
       [=] {
         return contrastive(zeros({2, 3}, DType::i64), zeros({2, 3}, DType::i64), s);
       }},
      {"contrastive: label must be i64 (2) on the cpu",
       [=] {
         return contrastive(x, x, s, i64({1, 2, 3}));
       }},
      {"contrastive: tiles need at least one row, got 0",
       [=] { return contrastive(x, x, s, {}, 0); }}};
  return rows;
}

std::vector<OpCase> sigmoid_op_rows() {
  std::vector<OpCase> rows;
  for (const Case& c : kCases)
    rows.push_back({"contrastive_sigmoid", c.what, binary_loss(c.labels, c.tile),
                    normal({c.shape, c.shape, {}, {}}), plain_sigmoid(c.labels)});
  const Tensor far = f64({1e4, 0, 0, -1e4}, {2, 2}), one = f64({1}, {});
  rows[0].special = {{far, far, one, one}, {f64({3}, {1, 1}), f64({-2}, {1, 1}), one, one}};
  const Tensor x = zeros({2, 3}), s = full({}, 1);
  rows[0].bad = {
      {"contrastive_sigmoid: needs a and b (N, D), neither 0, and s (), got (2, 3), (3, 3) and ()",
       [=] {
         return contrastive_sigmoid(x, zeros({3, 3}), s, s);
       }},
      {"contrastive_sigmoid: bias must be (), got (2)",
       [=] { return contrastive_sigmoid(x, x, s, zeros({2})); }}};
  return rows;
}

}  // namespace

std::vector<OpCase> contrastive_rows() {
  std::vector<OpCase> rows = contrastive_op_rows();
  append(rows, sigmoid_op_rows());
  return rows;
}

}  // namespace diptych::table
