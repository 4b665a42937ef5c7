// autograd/ops/matmul.cpp — products. Transposes are views: the kernel absorbs strides while
// packing.
#include <utility>

#include "autograd/operands.h"
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

// How products write the gradient of x: as it is collected, so far as they can.
DType product_dtype(const Tensor& x) {
  return gradient_dtype(x) == x.dtype() ? x.dtype() : statistics_dtype(x);
}

// `to`: the result's dtype, acc_t of the operands' if not their own.
Tensor product(const Tensor& a, const Tensor& b, const Shape& shape, DType to) {
  Tensor c = empty(shape, to, a.device());
  kernel::matmul(a.device(), expand_batch(a, shape), expand_batch(b, shape), {}, c);
  return c;
}

Shape product_shape(const Tensor& a, const Tensor& b) {
  check(a.rank() >= 2 && b.rank() >= 2 && a.dim(-1) == b.dim(-2),
        "matmul: inner dimensions differ: a ", a.shape(), ", b ", b.shape());
  check_float("matmul", a);
  check_alike("matmul", {a, b});
  Shape batch_a, batch_b;
  for (int i = 0; i < a.rank() - 2; ++i) batch_a.push_back(a.shape()[i]);
  for (int i = 0; i < b.rank() - 2; ++i) batch_b.push_back(b.shape()[i]);
  Shape shape = broadcast_shape("matmul", batch_a, batch_b);
  shape.push_back(a.dim(-2));
  shape.push_back(b.dim(-1));
  return shape;
}

// (…, K) → (…, N)
Shape linear_shape(const Tensor& x, const Tensor& w) {
  Shape shape = x.shape();
  shape[x.rank() - 1] = w.dim(0);
  return shape;
}

void check_linear(const Tensor& x, const Tensor& w, const Tensor& b, const Tensor& residual = {}) {
  check(x.rank() >= 1 && w.rank() == 2 && x.dim(-1) == w.dim(1), "linear: x ", x.shape(),
        " does not fit w ", w.shape(), " (N, K)");
  check(!b.defined() || b.shape() == Shape{w.dim(0)}, "linear: bias must be (", w.dim(0), ")");
  check(!residual.defined() || residual.shape() == linear_shape(x, w), "linear: residual ",
        residual.defined() ? residual.shape() : Shape{}, " must have the shape of the result, ",
        linear_shape(x, w));
  check_float("linear", x);
  check_alike("linear", {x, w, b, residual});
}

// f(x wᵀ + b + residual), without history.
Tensor linear_forward(const Tensor& x, const Tensor& w, const Tensor& b, const Tensor& residual,
                      std::optional<Unary> f = {}) {
  const Tensor rows = as_rows("linear", x), bias = b.defined() ? b.contiguous() : b;
  Tensor y = empty({rows.dim(0), w.dim(0)}, x.dtype(), x.device());
  const Tensor add = residual.defined() ? residual.contiguous().view(y.shape()) : residual;
  kernel::matmul(x.device(), rows, w.transpose(0, 1), {bias, add, f}, y);
  return y.view(linear_shape(x, w));
}

/// Which gradients of x wᵀ + b + residual are wanted, and how they come from that of the result.
struct LinearGrad {
  LinearGrad(bool dx_, const Tensor& w, const Tensor& b)
      : dx(dx_),
        dw(needs_grad(w)),
        db(b.defined() && needs_grad(b)),
        w_dtype(product_dtype(dw || !db ? w : b)),
        b_dtype(db ? gradient_dtype(b) : w_dtype) {}

  /// x, w: undefined where no gradient needs them.
  Grads operator()(const Tensor& grad, const Tensor& x, const Tensor& w, const Shape& from) const {
    Grads grads = of_input(grad, w, from);
    add_weight(grad, x, from, grads);
    return grads;
  }

  Grads of_input(const Tensor& grad, const Tensor& w, const Shape& from) const {
    const Tensor g = as_rows("linear", grad);
    Grads grads(4);
    if (dx) grads[0] = product(g, w, {g.dim(0), w.dim(1)}, g.dtype()).view(from);  // g w
    grads[3] = grad;  // of the residual, if there is one
    return grads;
  }

  /// gᵀ x, and the sums of g's columns with it. Without dw nobody kept x: anything of its shape
  /// will do, since the sums must be the same whoever else wants what.
  void add_weight(const Tensor& grad, const Tensor& x, const Shape& from, Grads& grads) const {
    if (!dw && !db) return;
    const Tensor g = as_rows("linear", grad);
    const int64_t N = g.dim(1), K = from.back();
    const Tensor rows = dw ? as_rows("linear", x) : empty({g.dim(0), K}, g.dtype(), g.device());
    Tensor weight = empty({N, K}, w_dtype, g.device());
    Epilogue end;
    if (db) end.row_sums = empty({N}, w_dtype, g.device());
    kernel::matmul(g.device(), g.transpose(0, 1), rows, end, weight);
    if (dw) grads[1] = weight;
    grads[2] = gradient_in(b_dtype, end.row_sums);
  }

  bool dx, dw, db;
  DType w_dtype, b_dtype;  // of their gradients
};

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b) {
  const Tensor c = product(a, b, product_shape(a, b), a.dtype());
  const bool da = needs_grad(a), db = needs_grad(b);
  return record("matmul", c, {a, b},
                [a = db ? Saved(a) : Saved(), b = da ? Saved(b) : Saved(),
                 a_dtype = product_dtype(a), b_dtype = product_dtype(b)](const Tensor& g) -> Grads {
                  Grads grads(2);
                  if (const Tensor& w = b.get(); w.defined()) {  // da = g bᵀ
                    const Tensor wt = w.transpose(-1, -2);
                    grads[0] = product(g, wt, product_shape(g, wt), a_dtype);
                  }
                  if (const Tensor& x = a.get(); x.defined()) {  // db = aᵀ g
                    const Tensor xt = x.transpose(-1, -2);
                    grads[1] = product(xt, g, product_shape(xt, g), b_dtype);
                  }
                  return grads;
                });
}

Tensor linear(const Tensor& x, const Tensor& w, const Tensor& b, const Tensor& residual) {
  check_linear(x, w, b, residual);
  const LinearGrad grads(needs_grad(x), w, b);
  return record("linear", linear_forward(x, w, b, residual), {x, w, b, residual},
                [grads, from = x.shape(), x = grads.dw ? Saved(x.contiguous()) : Saved(),
                 w = grads.dx ? Saved(w) : Saved()](const Tensor& g) -> Grads {
                  return grads(g, x.get(), w.get(), from);
                });
}

Tensor linear_then(Unary f, const Tensor& x, const Tensor& w, const Tensor& b) {
  const bool recorded = needs_grad(x) || needs_grad(w) || (b.defined() && needs_grad(b));
  if (recorded && GradMode::enabled()) return unary(f, linear(x, w, b));
  check_linear(x, w, b);
  note_inputs({x, w, b});
  return linear_forward(x, w, b, {}, f);
}

Tensor linear_of(const std::function<Tensor(const Tensor&)>& f, const Tensor& x, const Tensor& w,
                 const Tensor& b, const Tensor& residual) {
  const FirstRun first("linear_of", f, x);
  check_linear(first.y, w, b, residual);
  std::vector<Tensor> inputs{x, w, b, residual};
  inputs.insert(inputs.end(), first.used.begin(), first.used.end());
  const LinearGrad grads(true, w, b);
  return record(
      "linear_of", linear_forward(first.y, w, b, residual), inputs,
      [f, grads, n = inputs.size(), x = Saved(x), w = Saved(w)](const Tensor& g) -> Grads {
        const SecondRun again(f, x.get());
        Grads out = grads(g, again.y(), w.get(), again.y().shape());
        out[0] = again.backward(out[0]);
        out.resize(n);
        return out;
      });
}

Tensor linear_of(Unary f, const Tensor& x, const Tensor& w, const Tensor& b,
                 const Tensor& residual) {
  const Tensor in = x.contiguous();
  check_linear(in, w, b, residual);
  Tensor h = empty_like(in);
  kernel::unary(in.device(), f, in, h);
  // The gradient of f(x) even where x needs none: f alone might round differently.
  const LinearGrad of_fx(true, w, b);
  const bool dx = needs_grad(x);
  return record("linear_of", linear_forward(h, w, b, residual), {x, w, b, residual},
                [f, of_fx, dx, x = Saved(in), w = Saved(w)](const Tensor& g) -> Grads {
                  Tensor fx = empty_like(x.get());
                  Grads grads = of_fx.of_input(g, w.get(), fx.shape());
                  kernel::unary_both(g.device(), f, x.get(), fx, grads[0]);
                  of_fx.add_weight(g, fx, fx.shape(), grads);
                  if (!dx) grads[0] = Tensor();
                  return grads;
                });
}

}  // namespace diptych
