// autograd/ops/matmul.cpp — products. Transposes are views: the kernel absorbs strides while
// packing.
#include "autograd/ops.h"
#include "tensor/kernels.h"

namespace diptych {
namespace {

// The leading axes of c (…, M, N) in front of the last two of x.
Tensor expand_batch(const Tensor& x, const Shape& c) {
  Shape shape;
  for (int i = 0; i < c.rank() - 2; ++i) shape.push_back(c[i]);
  shape.push_back(x.dim(-2));
  shape.push_back(x.dim(-1));
  return x.expand(shape);
}

bool alike(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.device() == b.device();
}

Tensor product(const Tensor& a, const Tensor& b, Shape shape) {
  Tensor c = empty(shape, a.dtype(), a.device());
  kernel::matmul(a.device(), expand_batch(a, shape), expand_batch(b, shape), Tensor(), false, c);
  return c;
}

Shape product_shape(const Tensor& a, const Tensor& b) {
  check(a.rank() >= 2 && b.rank() >= 2 && a.dim(-1) == b.dim(-2),
        "matmul: inner dimensions differ: a ", a.shape(), ", b ", b.shape());
  check(is_float(a.dtype()) && alike(a, b),
        "matmul: needs two floating-point tensors of one dtype and device, got ", a.dtype(), " on ",
        a.device(), " and ", b.dtype(), " on ", b.device());
  Shape batch_a, batch_b;
  for (int i = 0; i < a.rank() - 2; ++i) batch_a.push_back(a.shape()[i]);
  for (int i = 0; i < b.rank() - 2; ++i) batch_b.push_back(b.shape()[i]);
  Shape shape = broadcast_shape("matmul", batch_a, batch_b);
  shape.push_back(a.dim(-2));
  shape.push_back(b.dim(-1));
  return shape;
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b) {
  const Tensor c = product(a, b, product_shape(a, b));
  const bool da = needs_grad(a), db = needs_grad(b);
  return record(
      "matmul", c, {a, b},
      [a = db ? Saved(a) : Saved(), b = da ? Saved(b) : Saved()](const Tensor& g) -> Grads {
        Grads grads(2);
        if (const Tensor& w = b.get(); w.defined()) {  // da = g bᵀ
          const Tensor wt = w.transpose(-1, -2);
          grads[0] = product(g, wt, product_shape(g, wt));
        }
        if (const Tensor& x = a.get(); x.defined()) {  // db = aᵀ g
          const Tensor xt = x.transpose(-1, -2);
          grads[1] = product(xt, g, product_shape(xt, g));
        }
        return grads;
      });
}

Tensor linear(const Tensor& x, const Tensor& w, const Tensor& b) {
  check(x.rank() >= 1 && w.rank() == 2 && x.dim(-1) == w.dim(1), "linear: x ", x.shape(),
        " does not fit w ", w.shape(), " (N, K)");
  check(!b.defined() || b.shape() == Shape{w.dim(0)}, "linear: bias must be (", w.dim(0), ")");
  check(is_float(x.dtype()) && alike(x, w) && (!b.defined() || alike(x, b)),
        "linear: needs floating-point operands of one dtype and device; x is ", x.dtype(), " on ",
        x.device(), ", w is ", w.dtype(), " on ", w.device());
  const int64_t K = w.dim(1), N = w.dim(0);
  Shape shape = x.shape();
  shape[x.rank() - 1] = 1;
  const int64_t M = shape.numel();  // not x.numel() / K: K may be 0
  shape[x.rank() - 1] = N;
  const Tensor rows = x.contiguous().view({M, K});
  Tensor y = empty({M, N}, x.dtype(), x.device());
  const Tensor bias = b.defined() ? b.contiguous() : b;
  kernel::matmul(x.device(), rows, w.transpose(0, 1), bias, false, y);

  const bool dx = needs_grad(x), dw = needs_grad(w), db = b.defined() && needs_grad(b);
  return record("linear", y.view(shape), {x, w, b},
                [=, from = x.shape(), rows = dw ? Saved(rows) : Saved(),
                 w = dx ? Saved(w) : Saved()](const Tensor& grad) -> Grads {
                  const Tensor g = grad.view({M, N});
                  Grads grads(3);
                  if (dx) grads[0] = product(g, w.get(), {M, K}).view(from);          // dx = g w
                  if (dw) grads[1] = product(g.transpose(0, 1), rows.get(), {N, K});  // dw = gᵀ x
                  if (db) {
                    grads[2] = empty({N}, g.dtype(), g.device());
                    Tensor columns = grads[2].view({1, N});
                    kernel::reduce(g.device(), Reduce::sum, g.view({1, M, N}), columns);
                  }
                  return grads;
                });
}

}  // namespace diptych
