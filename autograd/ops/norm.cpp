// autograd/ops/norm.cpp — layer normalisation and L2 normalisation over the last axis.
#include "autograd/operands.h"
#include "autograd/ops.h"
#include "tensor/kernels.h"

namespace diptych {

Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
  const Tensor in = as_rows("layer_norm", x);
  const int64_t N = in.dim(0);
  const Gains gains("layer_norm", x, weight, bias);
  Tensor y = empty_like(in);
  Tensor mean = empty({N}, statistics_dtype(x), x.device()), rstd = empty_like(mean);
  kernel::layer_norm(x.device(), in, gains.weight, gains.bias, eps, y, mean, rstd);

  const bool need_x = needs_grad(x), need_w = needs_grad(weight), need_b = needs_grad(bias);
  const DType w_dtype = gradient_dtype(weight), b_dtype = gradient_dtype(bias);
  return record("layer_norm", y.view(x.shape()), {x, weight, bias},
                [=, x = Saved(in), w = Saved(gains.weight), mean = Saved(mean),
                 rstd = Saved(rstd)](const Tensor& g) -> Grads {
                  Tensor dx = need_x ? empty_like(x.get()) : Tensor();
                  Tensor dw = need_w ? empty_like(w.get()) : Tensor();
                  Tensor db = need_b ? empty_like(w.get()) : Tensor();
                  kernel::layer_norm_grad(g.device(), x.get(), w.get(), mean.get(), rstd.get(),
                                          g.view(x.get().shape()), dx, dw, db);
                  return {need_x ? dx.view(g.shape()) : dx, gradient_in(w_dtype, dw),
                          gradient_in(b_dtype, db)};
                });
}

Tensor l2_normalize(const Tensor& x, double eps) {
  const Tensor in = as_rows("l2_normalize", x);
  Tensor y = empty_like(in), norm = empty({in.dim(0)}, statistics_dtype(x), x.device());
  kernel::l2_normalize(x.device(), in, eps, y, norm);
  return record("l2_normalize", y.view(x.shape()), {x},
                [eps, y = Saved(y), norm = Saved(norm)](const Tensor& g) -> Grads {
                  Tensor dx = empty_like(y.get());
                  kernel::l2_normalize_grad(g.device(), y.get(), norm.get(), eps,
                                            g.view(dx.shape()), dx);
                  return {dx.view(g.shape())};
                });
}

}  // namespace diptych
