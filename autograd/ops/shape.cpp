// autograd/ops/shape.cpp — views and their adjoints.
#include <algorithm>
#include <numeric>

#include "autograd/operands.h"
#include "autograd/ops.h"

namespace diptych {
namespace {

Shape with_axis(const Shape& shape, int axis) {
  Shape out;
  for (int i = 0; i <= shape.rank(); ++i) {
    if (i == axis) out.push_back(1);
    if (i < shape.rank()) out.push_back(shape[i]);
  }
  return out;
}

}  // namespace

Tensor reshape(const Tensor& x, Shape shape) {
  return record("reshape", x.contiguous().view(shape), {x},
                [from = x.shape()](const Tensor& g) -> Grads { return {g.view(from)}; });
}

Tensor transpose(const Tensor& x, int a, int b) {
  return record("transpose", x.transpose(a, b), {x},
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
  return record("slice", x.slice(axis, begin, end), {x},
                [=, from = x.shape()](const Tensor& g) -> Grads {
                  Tensor dx = zeros(from, g.dtype(), g.device());
                  dx.slice(axis, begin, end).copy_(g);
                  return {dx};
                });
}

Tensor select(const Tensor& x, int axis, int64_t i) {
  return record("select", x.select(axis, i), {x}, [=, from = x.shape()](const Tensor& g) -> Grads {
    Tensor dx = zeros(from, g.dtype(), g.device());
    dx.select(axis, i).copy_(g);
    return {dx};
  });
}

Tensor Tensor::operator[](int64_t i) const { return diptych::select(*this, 0, i); }

// The engine sums the gradient over repeated axes: the adjoint of every broadcast.
Tensor expand(const Tensor& x, Shape shape) {
  return record("expand", x.expand(shape), {x}, [](const Tensor& g) -> Grads { return {g}; });
}

Tensor cat(const std::vector<Tensor>& xs, int axis) {
  check(!xs.empty(), "cat: needs at least one tensor");
  axis = normalize_axis("cat", axis, xs[0].rank());
  Shape shape = xs[0].shape();
  std::vector<int64_t> ends{shape[axis]};
  for (size_t i = 1; i < xs.size(); ++i) {
    check_alike("cat", {xs[0], xs[i]});
    Shape like = xs[i].shape();
    const bool fits = like.rank() == shape.rank();
    ends.push_back(ends.back() + (fits ? like[axis] : 0));
    if (fits) like[axis] = shape[axis];
    check(fits && like == shape, "cat: shapes differ off axis ", axis, ": ", xs[0].shape(), " and ",
          xs[i].shape());
  }
  shape[axis] = ends.back();
  Tensor y = empty(shape, xs[0].dtype(), xs[0].device());
  for (size_t i = 0; i < xs.size(); ++i) y.slice(axis, i ? ends[i - 1] : 0, ends[i]).copy_(xs[i]);

  return record("cat", y, xs, [axis, ends](const Tensor& g) -> Grads {
    Grads grads;
    for (size_t i = 0; i < ends.size(); ++i) {
      grads.push_back(g.slice(axis, i ? ends[i - 1] : 0, ends[i]));
    }
    return grads;
  });
}

Tensor stack(const std::vector<Tensor>& xs, int axis) {
  check(!xs.empty(), "stack: needs at least one tensor");
  axis = normalize_axis("stack", axis, xs[0].rank() + 1);
  std::vector<Tensor> layers;
  for (const Tensor& x : xs) {
    check(x.shape() == xs[0].shape(), "stack: shapes differ: ", xs[0].shape(), " and ", x.shape());
    layers.push_back(reshape(x, with_axis(x.shape(), axis)));
  }
  return cat(layers, axis);
}

std::vector<Tensor> split(const Tensor& x, int64_t size, int axis) {
  axis = normalize_axis("split", axis, x.rank());
  check(size >= 1, "split: pieces of ", size, " of x ", x.shape(), "; they must be at least 1");
  const int64_t n = x.dim(axis);
  std::vector<Tensor> pieces;
  int64_t begin = 0;
  do {
    const int64_t end = begin + std::min(size, n - begin);
    pieces.push_back(slice(x, axis, begin, end));
    begin = end;
  } while (begin < n);
  return pieces;
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
