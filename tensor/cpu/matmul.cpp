// tensor/cpu/matmul.cpp — matrix products of all types and batches; gemm_product.h has a single
// one.
#include "tensor/cpu/elementwise.h"
#include "tensor/cpu/gemm_product.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace diptych::cpu {
namespace {

/// The batch axes of a product: how far a and b move from one matrix to the next.
struct Batch {
  Batch(const Tensor& a, const Tensor& b, const Tensor& c) {
    for (int axis = 0; axis < c.rank() - 2; ++axis) {
      extent.push_back(c.shape()[axis]);
      step_a.push_back(a.strides()[axis]);
      step_b.push_back(b.strides()[axis]);
    }
  }

  /// If one b serves the whole batch and the rows of a continue evenly from matrix to matrix, the
  /// batch is one tall matrix.
  bool is_tall_matrix(int64_t m, int64_t row) const {
    int64_t expected = m * row;
    for (int axis = extent.rank() - 1; axis >= 0; --axis) {
      if (extent[axis] != 1 && (step_b[axis] != 0 || step_a[axis] != expected)) return false;
      expected *= extent[axis];
    }
    return true;
  }

  std::array<int64_t, 2> offsets(int64_t i) const {
    std::array<int64_t, 2> at{};
    for (int axis = extent.rank() - 1; axis >= 0; --axis) {
      const int64_t j = i % extent[axis];
      i /= extent[axis];
      at[0] += j * step_a[axis];
      at[1] += j * step_b[axis];
    }
    return at;
  }

  Shape extent, step_a, step_b;
};

template <class T, class C>
void matmul_of(const Tensor& a, const Tensor& b, const ProductEnd<C>& end, Tensor& c) {
  int64_t m = c.dim(-2), n = c.dim(-1), k = a.dim(-1);
  const Batch batch(a, b, c);
  int64_t products = batch.extent.numel();
  const Shape &sa = a.strides(), &sb = b.strides();
  const Matrix<const T> first_a{a.data<T>(), sa[a.rank() - 2], sa[a.rank() - 1]};
  const Matrix<const T> first_b{b.data<T>(), sb[b.rank() - 2], sb[b.rank() - 1]};
  if (batch.is_tall_matrix(m, first_a.row)) {
    m *= products;
    products = 1;
  }
  const Product<T, C> product(m, n, k, end);
  const auto run = [&](int64_t begin, int64_t last) {
    for (int64_t i = begin; i < last; ++i) {
      const auto at = products == 1 ? std::array<int64_t, 2>{} : batch.offsets(i);
      product.run({first_a.data + at[0], first_a.row, first_a.column},
                  {first_b.data + at[1], first_b.row, first_b.column}, c.data<C>(), i * m * n);
    }
  };
  const int64_t work = m * n * std::max<int64_t>(1, k);
  if (products > 1 && split_by_product(products, work)) {
    parallel_for(products, std::max<int64_t>(1, (int64_t{1} << 17) / work), run);
  } else {
    run(0, products);
  }
}

/// What remains to be done where b has no columns.
void sum_rows_alone(const Tensor& a, const Epilogue& end) {
  if (!end.row_sums.defined()) return;
  Tensor sums = end.row_sums.view({a.dim(0), 1});
  Tensor rows = empty(a.shape(), sums.dtype());
  copy(a, rows);
  reduce(Reduce::sum, rows.view({a.dim(0), a.dim(1), 1}), sums);
}

/// Calls f(Type<T>, Type<C>) with the types of a and c: C is T or, where c is so, acc_t<T>.
template <class F>
void visit_product(const Tensor& a, const Tensor& c, const F& f) {
  visit_float(a.dtype(), [&]<class T>(Type<T> t) {
    c.dtype() == a.dtype() ? f(t, t) : f(t, Type<acc_t<T>>{});
  });
}

}  // namespace

void matmul(const Tensor& a, const Tensor& b, const Epilogue& end, Tensor& c) {
  if (c.numel() == 0) return sum_rows_alone(a, end);
  visit_product(a, c, [&]<class T, class C>(Type<T>, Type<C>) {
    using A = acc_t<T>;
    static thread_local Scratch bias_room, sums_room;
    const int64_t m = c.dim(-2), n = c.dim(-1);
    const A* bias =
        end.bias.defined() ? widen(end.bias.data<T>(), n, bias_room.get<A>(n)) : nullptr;
    const C* add = end.add.defined() ? end.add.data<C>() : nullptr;
    C* sums = end.row_sums.defined() ? end.row_sums.data<C>() : nullptr;
    A* room = sums ? landing(sums, sums_room.get<A>(m)) : nullptr;
    matmul_of<T, C>(a, b, {bias, add, end.f ? in_place<A>(*end.f) : nullptr, room}, c);
    if (sums) narrow(room, m, sums);
  });
}

}  // namespace diptych::cpu
