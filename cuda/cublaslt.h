// cuda/cublaslt.h — products of matrices by cuBLASLt, which stores by columns what we store by
// rows.
#pragma once

#include "tensor/types.h"

namespace diptych::cuda {

/// The matrices of one side of a product, stored by columns: number (i, j) of matrix k is at
/// data + k step + j pitch + i, all in elements. The product takes them as they are or transposed.
struct LtFactor {
  const void* data;
  int64_t pitch, step;
  bool transposed;
};

/// d = left right + bias + add, for `count` matrices d (rows, columns), which are stored by columns
/// without gaps, like those of add. left is (rows, depth) and right (depth, columns), as the
/// product takes them; bias (rows) and add may be null, and add may be d. column_sums (columns)
/// become those of right; null for none, as with a bias or a batch. Factors are of one dtype; the
/// rest is of another, theirs or for 16 bits f32.
struct LtProduct {
  DType factors, dtype;
  int64_t rows, columns, depth, count;
  LtFactor left, right;
  const void* bias;
  const void* add;
  void* d;
  void* column_sums;
};

/// Queues the product: sums in f64 for f64, else in f32, never TF32; the same bits on every run.
/// False if cuBLASLt has no algorithm for it; nothing is queued then.
bool multiply(const LtProduct&);

}  // namespace diptych::cuda
