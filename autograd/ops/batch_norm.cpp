// autograd/ops/batch_norm.cpp — batch normalisation over all axes but the last.
#include "autograd/operands.h"
#include "autograd/ops.h"
#include "tensor/kernels.h"

namespace diptych {
namespace {

// of_batch: mean and var are functions of x, so its gradient passes through them too.
Tensor normalize(const Tensor& x, const Tensor& rows, const Tensor& weight, const Tensor& bias,
                 const Tensor& mean, const Tensor& var, double eps, bool relu, bool of_batch) {
  const Gains gains("batch_norm", x, weight, bias);
  Tensor y = empty_like(rows);
  kernel::batch_norm(x.device(), rows, gains.weight, gains.bias, mean, var, eps, relu, y);

  const bool need_x = needs_grad(x), need_w = needs_grad(weight), need_b = needs_grad(bias);
  const DType w_dtype = gradient_dtype(weight), b_dtype = gradient_dtype(bias);
  return record("batch_norm", y.view(x.shape()), {x, weight, bias},
                [=, x = Saved(rows), w = Saved(gains.weight), b = Saved(gains.bias),
                 mean = Saved(mean), var = Saved(var)](const Tensor& g) -> Grads {
                  Tensor dx = need_x ? empty_like(x.get()) : Tensor();
                  Tensor dw = need_w ? empty_like(w.get()) : Tensor();
                  Tensor db = need_b ? empty_like(b.get()) : Tensor();
                  kernel::batch_norm_grad(g.device(), x.get(), w.get(), b.get(), mean.get(),
                                          var.get(), eps, g.view(x.get().shape()), relu, of_batch,
                                          dx, dw, db);
                  return {need_x ? dx.view(g.shape()) : dx, gradient_in(w_dtype, dw),
                          gradient_in(b_dtype, db)};
                });
}

}  // namespace

BatchNormed batch_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps,
                       bool relu) {
  const Tensor rows = as_rows("batch_norm", x);
  check(rows.dim(0) > 1, "batch_norm: x ", x.shape(),
        " has one value per column, and no variance; use a larger batch, or evaluation mode");
  Tensor mean = empty({rows.dim(1)}, statistics_dtype(x), x.device()), var = empty_like(mean);
  kernel::moments(x.device(), rows, mean, var);
  return {normalize(x, rows, weight, bias, mean, var, eps, relu, true), mean, var};
}

Tensor batch_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& mean,
                  const Tensor& var, double eps, bool relu) {
  const Tensor rows = as_rows("batch_norm", x);
  const DType dtype = statistics_dtype(x);
  check(mean.shape() == weight.shape() && var.shape() == weight.shape() && mean.dtype() == dtype &&
            var.dtype() == dtype && mean.device() == x.device() && var.device() == x.device(),
        "batch_norm: needs mean and variance ", dtype, ' ', weight.shape(), " beside x, got ",
        mean.dtype(), ' ', mean.shape(), " and ", var.dtype(), ' ', var.shape());
  return normalize(x, rows, weight, bias, mean.detach().contiguous(), var.detach().contiguous(),
                   eps, relu, false);
}

}  // namespace diptych
