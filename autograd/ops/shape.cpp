// autograd/ops/shape.cpp — views and their adjoints.
#include <algorithm>
#include <numeric>
#include <utility>

#include "autograd/ops.h"

namespace diptych {
namespace {

// The gradient of a view is one of x elsewhere, and collected as that is.
Tensor record_view(const char* op, const Tensor& view, const Tensor& x, Backward backward) {
  Tensor y = record(op, view, {x}, std::move(backward));
  const DType dtype = gradient_dtype(x);
  if (size_of(dtype) > size_of(x.dtype())) collect_wide(y, dtype);
  return y;
}

}  // namespace

Tensor reshape(const Tensor& x, Shape shape) {
  return record_view("reshape", x.contiguous().view(shape), x,
                     [from = x.shape()](const Tensor& g) -> Grads { return {g.view(from)}; });
}

Tensor transpose(const Tensor& x, int a, int b) {
  return record_view("transpose", x.transpose(a, b), x,
                     [a, b](const Tensor& g) -> Grads { return {g.transpose(a, b)}; });
}

Tensor permute(const Tensor& x, const std::vector<int>& axes) {
  const int rank = x.rank();
  check(static_cast<int>(axes.size()) == rank, "permute: ", axes.size(), " axes for x ", x.shape());
  std::vector<int> order(axes.size());  // which axis of x stands where in y
  std::iota(order.begin(), order.end(), 0);
  Tensor y = x;
  for (int i = 0; i < rank; ++i) {
    const int axis = normalize_axis("permute", axes[static_cast<size_t>(i)], rank);
    const auto at = std::find(order.begin() + i, order.end(), axis);
    check(at != order.end(), "permute: axis ", axis, " stands twice among the axes");
    const auto j = static_cast<int>(at - order.begin());
    if (i != j) y = transpose(y, i, j);
    std::swap(order[static_cast<size_t>(i)], *at);
  }
  return y;
}

Tensor slice(const Tensor& x, int axis, int64_t begin, int64_t end) {
  return record_view("slice", x.slice(axis, begin, end), x,
                     [=, from = x.shape()](const Tensor& g) -> Grads {
                       Tensor dx = zeros(from, g.dtype(), g.device());
                       dx.slice(axis, begin, end).copy_(g);
                       return {dx};
                     });
}

Tensor select(const Tensor& x, int axis, int64_t i) {
  return record_view("select", x.select(axis, i), x,
                     [=, from = x.shape()](const Tensor& g) -> Grads {
                       Tensor dx = zeros(from, g.dtype(), g.device());
                       dx.select(axis, i).copy_(g);
                       return {dx};
                     });
}

Tensor Tensor::operator[](int64_t i) const { return diptych::select(*this, 0, i); }

// The engine sums the gradient over repeated axes: the adjoint of every broadcast.
Tensor expand(const Tensor& x, Shape shape) {
  return record_view("expand", x.expand(shape), x, [](const Tensor& g) -> Grads { return {g}; });
}

Tensor patches(const Tensor& x, int64_t p) {
  check(x.rank() == 4 && p > 0 && x.dim(2) % p == 0 && x.dim(3) % p == 0,
        "patches: needs (B, C, H, W) with H and W multiples of ", p, ", got ", x.shape());
  check(is_addressable({x.dim(1), p, p}), "patches: squares of ", p, " are impossible");
  const int64_t B = x.dim(0), C = x.dim(1), rows = x.dim(2) / p, columns = x.dim(3) / p;
  Tensor y = reshape(x, {B, C, rows, p, columns, p});
  y = transpose(y, 1, 2);  // (B, rows, C, p, columns, p)
  y = transpose(y, 2, 4);  // (B, rows, columns, p, C, p)
  y = transpose(y, 3, 4);  // (B, rows, columns, C, p, p)
  return reshape(y, {B, rows * columns, C * p * p});
}

}  // namespace diptych
