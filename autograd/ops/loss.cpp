// autograd/ops/loss.cpp — cross-entropy, fused with the softmax it differentiates through.
#include "autograd/operands.h"
#include "autograd/ops.h"
#include "tensor/kernels.h"

namespace diptych {

Tensor cross_entropy(const Tensor& logits, const Tensor& target) {
  check(logits.rank() == 2 && logits.dim(0) > 0 && target.dtype() == DType::i64 &&
            target.shape() == Shape{logits.dim(0)} && target.device() == logits.device(),
        "cross_entropy: needs logits (N, V) with N > 0 and i64 target (N) beside them, got ",
        logits.shape(), " and ", target.dtype(), ' ', target.shape());
  check_index("cross_entropy: target", target, logits.dim(1));
  const Tensor in = as_rows("cross_entropy", logits), t = target.contiguous();
  const int64_t N = in.dim(0);
  Tensor losses = empty({1, N}, statistics_dtype(in), in.device()),
         lse = empty({N}, losses.dtype(), in.device());
  Tensor rows = losses.view({N});
  kernel::cross_entropy(in.device(), in, t, rows, lse);
  const Tensor total = sum(losses.view({N}), 0) / static_cast<double>(N);

  return record("cross_entropy", total, {logits},
                [in = Saved(in), t = Saved(t), lse = Saved(lse)](const Tensor& g) -> Grads {
                  Tensor dx = empty_like(in.get());
                  kernel::cross_entropy_grad(g.device(), in.get(), lse.get(), t.get(), g, dx);
                  return {dx};
                });
}

}  // namespace diptych
