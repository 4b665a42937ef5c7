// autograd/op_table/table.h — one row per operator and case: how to call it, where, and what it
// must refuse. Every test of operators and `diptych gradcheck` are generated from it; an operator
// without a row fails the suite.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "autograd/ops.h"
#include "tensor/philox.h"

namespace diptych {

using Inputs = std::vector<Tensor>;
using OpFunction = std::function<Tensor(const Inputs&)>;
using MakeInputs = std::function<Inputs(PhiloxStream&)>;

/// A call that must throw an Error whose text contains `message`.
struct BadCall {
  const char* message;
  std::function<Tensor()> call;
};

struct OpCase {
  const char* name;  ///< the function in autograd/ops.h, and the name it gives to record()
  std::string what;  ///< which case: with `name` unique
  OpFunction f;
  /// f64 on the cpu, away from kinks and poles. Operands that are not floating-point (indices,
  /// offsets) are bound in f, which moves them to the device of its inputs.
  MakeInputs inputs;
  OpFunction reference = {};  ///< the same function out of simpler operators, or, with no history,
                              ///< its values in plain doubles
  std::vector<Inputs> special =
      {};  ///< empty, size one, large: no NaN may come out, and no infinite gradient
  std::vector<BadCall> bad = {};
  bool composed = false;  ///< records the names of others only: its derivative is theirs
  std::vector<DType> dtypes = {DType::f32, DType::f16, DType::bf16};
  double slack = 1;  ///< multiplies the default tolerances; above 1 needs a reason in a comment
};

/// Every operator, in the order of ops.h.
const std::vector<OpCase>& op_table();

}  // namespace diptych
