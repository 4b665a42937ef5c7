// autograd/ops/random.cpp — chance with a derivative.
#include "autograd/operands.h"
#include "autograd/ops.h"
#include "tensor/kernels.h"

namespace diptych {

Tensor dropout(const Tensor& x, double rate, Seed seed) {
  check_float("dropout", x);
  check(0 <= rate && rate < 1, "dropout: a rate of ", rate, " is not in [0, 1)");
  const Tensor in = x.contiguous();
  Tensor y = empty_like(in);
  kernel::dropout(x.device(), seed, rate, in, y);
  return record("dropout", y, {x}, [rate, seed](const Tensor& g) -> Grads {
    Tensor dx = empty_like(g);
    kernel::dropout(g.device(), seed, rate, g, dx);
    return {dx};
  });
}

}  // namespace diptych
