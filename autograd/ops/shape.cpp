// autograd/ops/shape.cpp — views and their adjoints.
#include "autograd/operands.h"
#include "autograd/ops.h"

namespace diptych {

Tensor reshape(const Tensor& x, Shape shape) {
  return record("reshape", x.contiguous().view(shape), {x},
                [from = x.shape()](const Tensor& g) -> Grads { return {g.view(from)}; });
}

Tensor transpose(const Tensor& x, int a, int b) {
  return record("transpose", x.transpose(a, b), {x},
                [a, b](const Tensor& g) -> Grads { return {g.transpose(a, b)}; });
}

Tensor slice(const Tensor& x, int axis, int64_t begin, int64_t end) {
  return record("slice", x.slice(axis, begin, end), {x},
                [=, from = x.shape()](const Tensor& g) -> Grads {
                  Tensor dx = zeros(from, g.dtype(), g.device());
                  dx.slice(axis, begin, end).copy_(g);
                  return {dx};
                });
}

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
