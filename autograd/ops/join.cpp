// autograd/ops/join.cpp — several tensors as one, and one as several.
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

}  // namespace diptych
