// autograd/op_table/parts.h — what the files of the operator table share: inputs and wrappers.
#pragma once

#include <vector>

#include "autograd/op_table/table.h"

namespace diptych::table {

// The parts of the table, one per file autograd/op_table/<part>.cpp.
std::vector<OpCase> elementwise_rows();
std::vector<OpCase> expression_rows();
std::vector<OpCase> shape_rows();
std::vector<OpCase> join_rows();
std::vector<OpCase> reduce_rows();
std::vector<OpCase> matmul_rows();
std::vector<OpCase> softmax_rows();
std::vector<OpCase> norm_rows();
std::vector<OpCase> batch_norm_rows();
std::vector<OpCase> loss_rows();
std::vector<OpCase> contrastive_rows();
std::vector<OpCase> index_rows();
std::vector<OpCase> random_rows();
std::vector<OpCase> conv_rows();
std::vector<OpCase> pool_rows();
std::vector<OpCase> attention_rows();
std::vector<OpCase> checkpoint_rows();

// Inputs, one tensor per shape
MakeInputs normal(std::vector<Shape>);
MakeInputs positive(std::vector<Shape>);  ///< 0.5 … 2: off the poles of log, √ and 1/x
MakeInputs apart(std::vector<Shape>);     ///< 0.2 ≤ |x| ≤ 2, both signs: off a kink at zero
/// Element e of input i is 0.4 k + 0.2 i for a random k, and the k of an input all differ: nothing
/// is within 0.2 of anything it could be compared with.
MakeInputs spaced(std::vector<Shape>);

/// A tensor of these f64 values.
Tensor f64(const std::vector<double>&, Shape);
Tensor i64(const std::vector<int64_t>&);

// Calls with the inputs as operands
OpFunction call(Tensor (*op)(const Tensor&));
OpFunction call(Tensor (*op)(const Tensor&, const Tensor&));
/// f on every element in plain doubles; operands broadcast. No history.
OpFunction plain(double (*f)(double));
OpFunction plain(double (*f)(double, double));

/// x[permutation] of the flattened x, seen as `to`: the reference of everything that moves
/// elements.
Tensor rearrange(const Tensor& x, const std::vector<int64_t>& permutation, Shape to);

/// n rows of the unit matrix from `begin` on, out of `size`: a product with it selects rows.
Tensor selection(int64_t begin, int64_t n, int64_t size);

/// 0, step, 2 step, … modulo size: n indices.
std::vector<int64_t> cyclic(int64_t n, int64_t step, int64_t size);

/// Rows of an operator on the last axis: shapes that matter, extreme values, calls it must refuse.
std::vector<OpCase> row_wise(const char* name, OpFunction f, const OpFunction& reference);

void append(std::vector<OpCase>& rows, std::vector<OpCase> more);

}  // namespace diptych::table
