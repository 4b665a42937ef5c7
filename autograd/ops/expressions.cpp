// autograd/ops/expressions.cpp — what makes formulas readable: numbers as operands, assignments,
// bounds and choices.
#include "autograd/operands.h"
#include "autograd/ops.h"
#include "tensor/kernels.h"

namespace diptych {
namespace {

Tensor constant_like(const Tensor& x, double value) {
  return full({}, value, x.dtype(), x.device());
}

// x becomes a handle to y = x ∘ …
Tensor& rebind(const char* op, Tensor& x, const Tensor& y) {
  check(
      !needs_grad(x) || !x.node()->leaf, op,
      ": x is a tracked leaf, which collects a gradient, and would stop being one; update it with "
      "copy_() under NoGrad, or give the result a name of its own");
  check(y.shape() == x.shape(), op, ": x ", x.shape(), " would become ", y.shape(),
        "; give the result a name of its own");
  return x = y;
}

}  // namespace

Tensor operator+(const Tensor& a, double b) { return add(a, constant_like(a, b)); }
Tensor operator*(const Tensor& a, double b) { return mul(a, constant_like(a, b)); }
Tensor operator-(double a, const Tensor& b) { return sub(constant_like(b, a), b); }
Tensor operator/(double a, const Tensor& b) { return div(constant_like(b, a), b); }
Tensor pow(const Tensor& a, double b) { return pow(a, constant_like(a, b)); }

Tensor& operator+=(Tensor& x, const Tensor& y) { return rebind("+=", x, x + y); }
Tensor& operator-=(Tensor& x, const Tensor& y) { return rebind("-=", x, x - y); }
Tensor& operator*=(Tensor& x, const Tensor& y) { return rebind("*=", x, x * y); }
Tensor& operator/=(Tensor& x, const Tensor& y) { return rebind("/=", x, x / y); }
Tensor& operator+=(Tensor& x, double y) { return rebind("+=", x, x + y); }
Tensor& operator-=(Tensor& x, double y) { return rebind("-=", x, x - y); }
Tensor& operator*=(Tensor& x, double y) { return rebind("*=", x, x * y); }
Tensor& operator/=(Tensor& x, double y) { return rebind("/=", x, x / y); }

Tensor clamp(const Tensor& x, double low, double high) {
  check(low <= high, "clamp: low ", low, " must not be above high ", high, ", nor either be NaN");
  return minimum(maximum(x, constant_like(x, low)), constant_like(x, high));
}

Tensor where(const Tensor& mask, const Tensor& a, const Tensor& b) {
  check(mask.dtype() == DType::u8, "where: the mask must be u8, got ", mask.dtype());
  check_float("where", a);
  check_alike("where", {a, b});
  check(mask.device() == a.device(), "where: mask on ", mask.device(), ", operands on ",
        a.device());
  const Shape shape =
      broadcast_shape("where", mask.shape(), broadcast_shape("where", a.shape(), b.shape()));
  // y = a where the mask is set, else b; either may be a constant 0.
  const auto chosen = [shape](const Tensor& m, const Tensor& p, const Tensor& q) {
    const Tensor& like = p.defined() ? p : q;
    const Tensor zero = constant_like(like, 0);
    Tensor y = empty(shape, like.dtype(), like.device());
    kernel::where(y.device(), m.expand(shape), (p.defined() ? p : zero).expand(shape),
                  (q.defined() ? q : zero).expand(shape), y);
    return y;
  };
  const bool da = needs_grad(a), db = needs_grad(b);
  return record("where", chosen(mask, a, b), {a, b},
                [chosen, da, db, mask = Saved(mask)](const Tensor& g) -> Grads {
                  const Tensor& m = mask.get();
                  return {da ? chosen(m, g, {}) : Tensor(), db ? chosen(m, {}, g) : Tensor()};
                });
}

}  // namespace diptych
