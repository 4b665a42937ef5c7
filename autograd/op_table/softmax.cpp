// autograd/op_table/softmax.cpp — rows of the operator table: softmax and its logarithm.
#include "autograd/op_table/parts.h"

namespace diptych::table {
std::vector<OpCase> softmax_rows() {
  std::vector<OpCase> rows = row_wise("softmax", call(softmax), [](const Inputs& in) {
    const Tensor e = exp(in[0]);
    return e / sum(e, -1, true);
  });
  append(rows, row_wise("log_softmax", call(log_softmax),
                        [](const Inputs& in) { return in[0] - log(sum(exp(in[0]), -1, true)); }));
  return rows;
}

}  // namespace diptych::table
