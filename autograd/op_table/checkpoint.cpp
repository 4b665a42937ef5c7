// autograd/op_table/checkpoint.cpp — rows of the operator table: recomputation.
#include "autograd/op_table/parts.h"

namespace diptych::table {
namespace {

Tensor block(const Tensor& x, const Tensor& w) { return tanh(matmul(x, w)) * x; }

OpFunction checkpointed(Tensor (*f)(const Tensor&, const Tensor&)) {
  return [f](const Inputs& in) {
    return checkpoint([f, w = in[1]](const Tensor& x) { return f(x, w); }, in[0]);
  };
}

Tensor two_blocks(const Tensor& x, const Tensor& w) {
  return checkpoint([w](const Tensor& y) { return block(y, w); }, block(x, w));
}

Tensor two_plain_blocks(const Tensor& x, const Tensor& w) { return block(block(x, w), w); }

}  // namespace

std::vector<OpCase> checkpoint_rows() {
  return {
      {"checkpoint", "a block with a weight", checkpointed(block), normal({{4, 3}, {3, 3}}),
       call(block)},
      {"checkpoint", "nested", checkpointed(two_blocks), normal({{2, 3}, {3, 3}}),
       call(two_plain_blocks)},
      {"checkpoint", "of nothing", checkpointed(block), normal({{0, 3}, {3, 3}}), call(block)},
  };
}

}  // namespace diptych::table
