// autograd/ops/random.cpp — chance with a derivative.
#include "autograd/operands.h"
#include "autograd/ops.h"
#include "tensor/kernels.h"

namespace diptych {

Tensor dropout(const Tensor& x, double rate, Seed seed, int64_t first) {
  check_float("dropout", x);
  check(0 <= rate && rate < 1, "dropout: a rate of ", rate, " is not in [0, 1)");
  check(first >= 0, "dropout: there is no word ", first);
  const Tensor in = x.contiguous();
  Tensor y = empty_like(in);
  kernel::dropout(x.device(), seed, rate, first, in, y);
  return record("dropout", y, {x}, [rate, seed, first](const Tensor& g) -> Grads {
    Tensor dx = empty_like(g);
    kernel::dropout(g.device(), seed, rate, first, g, dx);
    return {dx};
  });
}

}  // namespace diptych
