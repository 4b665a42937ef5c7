// autograd/ops/pool.cpp — pooling of pictures with channels last.
#include "autograd/operands.h"
#include "autograd/ops.h"
#include "tensor/kernels.h"

namespace diptych {
namespace {

// Room for the results of one k × k square each.
Tensor squares_of(const char* op, const Tensor& x, int64_t k) {
  check_picture(op, x);
  check(k >= 1 && x.dim(1) % k == 0 && x.dim(2) % k == 0, op, ": squares of ", k,
        " must divide the sides of x ", x.shape(), " (B, H, W, C)");
  check(is_addressable({k, k, x.dim(3)}), op, ": squares of ", k, " are impossible");
  return empty({x.dim(0), x.dim(1) / k, x.dim(2) / k, x.dim(3)}, x.dtype(), x.device());
}

}  // namespace

Tensor avg_pool(const Tensor& x, int64_t k) {
  Tensor y = squares_of("avg_pool", x, k);
  kernel::avg_pool(x.device(), x.contiguous(), k, y);
  return record("avg_pool", y, {x}, [k, from = x.shape()](const Tensor& g) -> Grads {
    Tensor dx = empty(from, g.dtype(), g.device());
    kernel::avg_pool_grad(g.device(), g, k, dx);
    return {dx};
  });
}

Tensor max_pool(const Tensor& x, int64_t k) {
  Tensor y = squares_of("max_pool", x, k);
  const Tensor in = x.contiguous();
  kernel::max_pool(x.device(), in, k, y);
  return record("max_pool", y, {x}, [k, in = Saved(in), y = Saved(y)](const Tensor& g) -> Grads {
    Tensor dx = empty_like(in.get());
    kernel::max_pool_grad(g.device(), in.get(), y.get(), g, k, dx);
    return {dx};
  });
}

}  // namespace diptych
