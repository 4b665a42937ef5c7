// autograd/ops/softmax.cpp — softmax and its logarithm over the last axis.
#include "autograd/operands.h"
#include "autograd/ops.h"
#include "tensor/kernels.h"

namespace diptych {

Tensor softmax(const Tensor& x) {
  const Tensor in = as_rows("softmax", x);
  Tensor y = empty_like(in);
  kernel::softmax(x.device(), in, y);
  return record("softmax", y.view(x.shape()), {x}, [y = Saved(y)](const Tensor& g) -> Grads {
    Tensor dx = empty_like(y.get());
    kernel::softmax_grad(g.device(), y.get(), g.view(dx.shape()), dx);
    return {dx.view(g.shape())};
  });
}

Tensor log_softmax(const Tensor& x) {
  const Tensor in = as_rows("log_softmax", x);
  Tensor y = empty_like(in);
  kernel::log_softmax(x.device(), in, y);
  return record("log_softmax", y.view(x.shape()), {x}, [y = Saved(y)](const Tensor& g) -> Grads {
    Tensor dx = empty_like(y.get());
    kernel::log_softmax_grad(g.device(), y.get(), g.view(dx.shape()), dx);
    return {dx.view(g.shape())};
  });
}

}  // namespace diptych
