// autograd/op_table/loss.cpp — rows of the operator table: cross-entropy.
#include "autograd/op_table/parts.h"

namespace diptych::table {
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

}  // namespace

std::vector<OpCase> loss_rows() {
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

}  // namespace diptych::table
