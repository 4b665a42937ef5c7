// autograd/op_table/random.cpp — rows of the operator table: chance.
#include "autograd/op_table/parts.h"

namespace diptych::table {
namespace {

constexpr Seed kSeed{7, 5};

OpFunction dropped(double rate, int64_t first) {
  return [=](const Inputs& in) { return dropout(in[0], rate, kSeed, first); };
}

// A product with what each element is multiplied with, word by word.
OpFunction multiplied(double rate, int64_t first) {
  return [=](const Inputs& in) {
    std::vector<double> factors;
    PhiloxStream words(kSeed.seed, kSeed.stream);
    for (int64_t i = 0; i < first; ++i) words.next();
    for (int64_t i = 0; i < in[0].numel(); ++i)
      factors.push_back(is_kept(words.next(), rate) ? 1 / (1 - rate) : 0);
    return in[0] * f64(factors, in[0].shape()).to(in[0].dtype()).to(in[0].device());
  };
}

}  // namespace

std::vector<OpCase> random_rows() {
  const auto row = [](const char* what, Shape x, double rate, int64_t first = 0) {
    return OpCase{"dropout", what, dropped(rate, first), normal({x}), multiplied(rate, first)};
  };
  std::vector<OpCase> rows = {row("a half", {5, 7}, 0.5),
                              row("nothing left out", {3}, 0),
                              row("three quarters", {129, 33}, 0.75),
                              row("a part: in the middle of a block", {5, 7}, 0.5, 35),
                              row("a part: one element", {1}, 0.5, 3),
                              row("a part: from a block's first word", {129, 33}, 0.5, 8)};
  rows[0].special = {{f64({}, {0, 3})}, {f64({}, {3, 0})}};
  rows[0].bad = {
      {"dropout: a rate of 1 is not in [0, 1)", [] { return dropout(zeros({2}), 1, kSeed); }},
      {"dropout: a rate of -0.5", [] { return dropout(zeros({2}), -0.5, kSeed); }},
      {"dropout: there is no word -1", [] { return dropout(zeros({2}), 0.5, kSeed, -1); }},
      {"dropout: needs a floating-point tensor",
       [] { return dropout(zeros({2}, DType::i64), 0.5, kSeed); }}};
  return rows;
}

}  // namespace diptych::table
