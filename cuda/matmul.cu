// cuda/matmul.cu — matrix products of all types, strides and batches, by cuBLASLt.
//
// cuBLASLt stores by columns, we store by rows, and a matrix stored by rows is its transpose stored
// by columns. So c = a b is asked for as cᵀ = bᵀ aᵀ: b is the left factor, and the bias, one number
// for each column of c, is one for each row of cᵀ, as the library wants it.
//
// It reads matrices with a stride of 1 along one of their axes, and batches with one stride from
// matrix to matrix. Other matrices are copied first; other batches are a loop over such ones.
//
// It has neither QuickGELU nor the exact GELU, so f follows as a kernel of its own. A 16-bit sum is
// rounded before f and again behind it, where cpu::matmul rounds once.
#include "cuda/cublaslt.h"
#include "cuda/launch.cuh"
#include "tensor/kernels.h"

namespace diptych::cuda {
namespace {

/// The matrices of a or b: the last two axes.
struct Matrices {
  explicit Matrices(const Tensor& x)
      : rows(x.dim(-2)),
        columns(x.dim(-1)),
        row(x.strides()[x.rank() - 2]),
        column(x.strides()[x.rank() - 1]) {}

  bool by_rows() const { return (column == 1 || columns == 1) && (row >= columns || rows == 1); }
  bool by_columns() const { return (row == 1 || rows == 1) && (column >= rows || columns == 1); }
  /// From one row, or column, to the next; the stride along an axis of 1 means nothing.
  int64_t pitch() const {
    if (by_rows()) return rows == 1 ? columns : row;
    return columns == 1 ? rows : column;
  }

  int64_t rows, columns, row, column;
};

/// x, or a copy that cuBLASLt can read. Matrices that repeat along an axis are copied once.
Tensor readable(const Tensor& x) {
  const Matrices matrices(x);
  if (matrices.by_rows() || matrices.by_columns()) return x;
  Tensor once = x;
  for (int axis = 0; axis < x.rank() - 2; ++axis)
    if (x.strides()[axis] == 0) once = once.slice(axis, 0, 1);
  return once.contiguous().expand(x.shape());
}

/// The batch axes, as few as possible but at least one: how far a and b move along each.
struct Batch {
  Batch(const Tensor& a, const Tensor& b, const Tensor& c) {
    for (int axis = 0; axis < c.rank() - 2; ++axis)
      if (c.shape()[axis] != 1) append(c.shape()[axis], a.strides()[axis], b.strides()[axis]);
    if (extent.rank() == 0) append(1, 0, 0);
  }

  void append(int64_t n, int64_t step_a, int64_t step_b) {
    const int last = extent.rank() - 1;
    if (last >= 0 && steps_a[last] == n * step_a && steps_b[last] == n * step_b) {
      extent[last] *= n;
      steps_a[last] = step_a;
      steps_b[last] = step_b;
    } else {
      extent.push_back(n);
      steps_a.push_back(step_a);
      steps_b.push_back(step_b);
    }
  }

  /// The last axis, which cuBLASLt goes along by itself.
  int inner() const { return extent.rank() - 1; }
  /// How often it has to be called.
  int64_t rounds() const { return extent.numel() / extent[inner()]; }
  /// Where round i begins in the array that moves by these steps.
  int64_t offset(int64_t i, const Shape& steps) const {
    int64_t at = 0;
    for (int axis = inner() - 1; axis >= 0; --axis) {
      at += i % extent[axis] * steps[axis];
      i /= extent[axis];
    }
    return at;
  }

  Shape extent, steps_a, steps_b;
};

/// What is left to say about c = a b when a and b can be read.
class Product {
 public:
  Product(const Tensor& a, const Tensor& b, const Tensor& c)
      : a_(readable(a)), b_(readable(b)), of_a_(a_), of_b_(b_), batch_(a_, b_, c) {
    make_tall();
  }

  int64_t rounds() const { return batch_.rounds(); }

  /// c = a b + bias + add, and the sums of the rows of a if they are defined, which goes with no
  /// bias and no batch. False if cuBLASLt has no algorithm for it.
  bool run(const Tensor& bias, const Tensor& add, const Tensor& row_sums, Tensor& c) const {
    const int64_t each = c.numel() / rounds();
    for (int64_t i = 0; i < rounds(); ++i) {
      const LtProduct product{a_.dtype(),
                              c.dtype(),
                              of_b_.columns,
                              of_a_.rows,
                              of_b_.rows,
                              batch_.extent[batch_.inner()],
                              factor(b_, of_b_, batch_.steps_b, i),
                              factor(a_, of_a_, batch_.steps_a, i),
                              at(bias, 0),
                              at(add, i * each),
                              at(c, i * each),
                              at(row_sums, 0)};
      if (!multiply(product)) return false;
    }
    return true;
  }

 private:
  /// If one b serves the whole batch and the rows of a continue evenly from matrix to matrix, the
  /// batch is one tall matrix.
  void make_tall() {
    Matrices tall = of_a_;
    tall.rows *= batch_.extent[0];
    if (of_a_.rows == 1) tall.row = batch_.steps_a[0];
    if (batch_.inner() != 0 || batch_.steps_b[0] != 0) return;
    if (batch_.steps_a[0] != of_a_.rows * tall.row || !tall.by_rows()) return;
    of_a_ = tall;
    batch_.extent[0] = 1;
  }

  static void* at(const Tensor& x, int64_t i) {
    return x.defined() ? static_cast<char*>(x.raw()) + i * size_of(x.dtype()) : nullptr;
  }

  LtFactor factor(const Tensor& x, const Matrices& m, const Shape& steps, int64_t round) const {
    return {at(x, batch_.offset(round, steps)), m.pitch(), steps[batch_.inner()], !m.by_rows()};
  }

  Tensor a_, b_;
  Matrices of_a_, of_b_;
  Batch batch_;
};

/// c = bias + add, (n) numbers in rows of `columns`. Either may be null, add may be c.
template <class T>
__global__ void add_bias(const T* bias, const T* add, int64_t columns, int64_t n, T* c) {
  const int64_t i = thread_number();
  if (i >= n) return;
  acc_t<T> sum = 0;
  if (bias) sum += widen(bias[i % columns]);
  if (add) sum += widen(add[i]);
  c[i] = narrow<T>(sum);
}

void add_bias(const Tensor& bias, const Tensor& add, Tensor& c) {
  visit_float(c.dtype(), [&]<class T>(Type<T>) {
    const auto data = [](const Tensor& x) { return x.defined() ? x.data<T>() : nullptr; };
    launch("matmul", add_bias<T>, grid_for(c.numel()), data(bias), data(add), c.dim(-1), c.numel(),
           data(c));
  });
}

void sum_rows(const Tensor& a, Tensor sums) {
  const int64_t M = a.dim(0), K = a.dim(1);
  const Tensor turned = a.transpose(0, 1);  // as it is stored for the gradient of a weight, gᵀ x
  const bool by_columns = turned.is_contiguous();
  const Tensor x = (by_columns ? turned : a).to(sums.dtype()).contiguous();
  Tensor y = sums.view(by_columns ? Shape{1, M} : Shape{M, 1});
  reduce(Reduce::sum, x.view(by_columns ? Shape{1, K, M} : Shape{M, K, 1}), y);
}

/// c = a b + bias + add, and the sums. cuBLASLt does either bias or sums on the way, and not for
/// every product. Where it cannot add the bias, that is in c before the product is: in 16 bits one
/// more rounding. bias: end's, of c's dtype.
void multiply(const Tensor& a, const Tensor& b, const Tensor& bias, const Epilogue& end,
              Tensor& c) {
  const Product product(a, b, c);
  const bool in_one = product.rounds() == 1;
  if (end.row_sums.defined()) {
    if (in_one && !bias.defined() && product.run({}, end.add, end.row_sums, c)) return;
    sum_rows(a, end.row_sums);
  }
  if (in_one && product.run(bias, end.add, {}, c)) return;
  if (bias.defined()) add_bias(bias, end.add, c);
  check(product.run({}, bias.defined() ? c : end.add, {}, c),
        "matmul: cuBLASLt has no algorithm for a ", a.shape(), ", b ", b.shape(), " of ", a.dtype(),
        " and c of ", c.dtype());
}

}  // namespace

void matmul(const Tensor& a, const Tensor& b, const Epilogue& end, Tensor& c) {
  const Tensor bias = end.bias.defined() ? end.bias.to(c.dtype()) : end.bias;
  if (c.numel() > 0 && a.dim(-1) > 0) {
    multiply(a, b, bias, end, c);
  } else {
    if (end.row_sums.defined()) sum_rows(a, end.row_sums);
    if (c.numel() > 0) add_bias(bias, end.add, c);
  }
  if (end.f) unary(*end.f, c, c);
}

}  // namespace diptych::cuda
