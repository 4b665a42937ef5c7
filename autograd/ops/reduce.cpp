// autograd/ops/reduce.cpp — sums, means and maxima along an axis.
#include "autograd/operands.h"
#include "autograd/ops.h"
#include "tensor/kernels.h"
#include "tensor/scalar_ops.h"

namespace diptych {
namespace {

Shape without(const Shape& shape, int axis, bool keep) {
  Shape out;
  for (int i = 0; i < shape.rank(); ++i) {
    if (i != axis) out.push_back(shape[i]);
    if (i == axis && keep) out.push_back(1);
  }
  return out;
}

Tensor reduced(Reduce op, const Tensor& x, int axis, bool keep) {
  const Shape split = split_at(x.shape(), axis);
  Tensor y = empty({split[0], split[2]}, x.dtype(), x.device());
  kernel::reduce(x.device(), op, x.contiguous().view(split), y);
  return y.view(without(x.shape(), axis, keep));
}

// Puts the reduced axis back, with extent 1, and repeats it.
Tensor spread(const Tensor& g, const Shape& to, int axis) {
  return g.view(without(to, axis, true)).expand(to);
}

}  // namespace

Tensor sum(const Tensor& x, int axis, bool keep) {
  check_float("sum", x);
  axis = normalize_axis("sum", axis, x.rank());
  return record("sum", reduced(Reduce::sum, x, axis, keep), {x},
                [axis, to = x.shape()](const Tensor& g) -> Grads { return {spread(g, to, axis)}; });
}

Tensor sum(const Tensor& x) { return sum(reshape(x, {x.numel()}), 0); }

Tensor mean(const Tensor& x, int axis, bool keep) {
  check_float("mean", x);
  axis = normalize_axis("mean", axis, x.rank());
  check(x.dim(axis) > 0, "mean: of nothing: axis ", axis, " of ", x.shape(), " is empty");
  // A 16-bit type would overflow in the sum, and lose 1 / n to rounding.
  const DType narrow = x.dtype(), wide = narrow == DType::f64 ? DType::f64 : DType::f32;
  const auto n = static_cast<double>(x.dim(axis));
  if (narrow == wide) return sum(x, axis, keep) / n;
  return cast(sum(cast(x, wide), axis, keep) / n, narrow);
}

Tensor mean(const Tensor& x) { return mean(reshape(x, {x.numel()}), 0); }

Tensor var(const Tensor& x, int axis, bool keep, int64_t correction) {
  check_float("var", x);
  axis = normalize_axis("var", axis, x.rank());
  const int64_t n = x.dim(axis);
  check(correction >= 0 && correction < n, "var: correction ", correction, " for the ", n,
        " elements along axis ", axis, " of ", x.shape(), "; it must be from 0 to one less");
  const Tensor wide = x.dtype() == statistics_dtype(x) ? x : cast(x, statistics_dtype(x));
  const Tensor y =
      sum(square(wide - mean(wide, axis, true)), axis, keep) / static_cast<double>(n - correction);
  return y.dtype() == x.dtype() ? y : cast(y, x.dtype());
}

Tensor max(const Tensor& x, int axis, bool keep) {
  check_float("max", x);
  axis = normalize_axis("max", axis, x.rank());
  check(x.dim(axis) > 0, "max: of nothing: axis ", axis, " of ", x.shape(), " is empty");
  const Tensor y = reduced(Reduce::max, x, axis, keep);
  return record("max", y, {x}, [axis, x = Saved(x), y = Saved(y)](const Tensor& g) -> Grads {
    // d max(x, y)/dx is 1 exactly where x attains the maximum y; divided by how often it does.
    const Tensor in = x.get(), top = spread(y.get(), in.shape(), axis);
    Tensor dx = empty_like(in), hit = empty_like(in);
    const Tensor one = full({}, 1, in.dtype(), in.device()).expand(in.shape());
    kernel::binary_grad(in.device(), Binary::maximum, 0, in, top, one, hit);
    const Tensor share =
        g.view(without(in.shape(), axis, true)) / reduced(Reduce::sum, hit, axis, true);
    kernel::binary(in.device(), Binary::mul, hit, share.expand(in.shape()), dx);
    return {dx};
  });
}

Tensor arg_max(const Tensor& x, int axis) {
  check_float("arg_max", x);
  axis = normalize_axis("arg_max", axis, x.rank());
  check(x.dim(axis) > 0, "arg_max: of nothing: axis ", axis, " of ", x.shape(), " is empty");
  const Shape split = split_at(x.shape(), axis);
  Tensor index = empty({split[0], split[2]}, DType::i64, x.device());
  kernel::arg_max(x.device(), x.contiguous().view(split), index);
  return index.view(without(x.shape(), axis, false));
}

}  // namespace diptych
