// autograd/ops/pool.cpp — pooling of pictures with channels last.
#include "autograd/operands.h"
#include "autograd/ops.h"
#include "tensor/kernels.h"

namespace diptych {

Tensor avg_pool(const Tensor& x, int64_t k) {
  check_picture("avg_pool", x);
  check(k >= 1 && x.dim(1) % k == 0 && x.dim(2) % k == 0, "avg_pool: squares of ", k,
        " must divide the sides of x ", x.shape(), " (B, H, W, C)");
  check(is_addressable({k, k, x.dim(3)}), "avg_pool: squares of ", k, " are impossible");
  Tensor y = empty({x.dim(0), x.dim(1) / k, x.dim(2) / k, x.dim(3)}, x.dtype(), x.device());
  kernel::avg_pool(x.device(), x.contiguous(), k, y);
  return record("avg_pool", y, {x}, [k, from = x.shape()](const Tensor& g) -> Grads {
    Tensor dx = empty(from, g.dtype(), g.device());
    kernel::avg_pool_grad(g.device(), g, k, dx);
    return {dx};
  });
}

}  // namespace diptych
