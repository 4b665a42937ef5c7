// autograd/ops/elementwise.cpp — one generic forward and derivative for each arity; the formulas
// are in tensor/scalar_ops.h.
#include "autograd/operands.h"
#include "autograd/ops.h"
#include "tensor/kernels.h"
#include "tensor/scalar_ops.h"

namespace diptych {
namespace {

Tensor unary(Unary op, const char* name, const Tensor& x) {
  check_float(name, x);
  const Tensor in = x.contiguous();
  Tensor y = empty_like(in);
  kernel::unary(x.device(), op, in, y);

  const Needs needs = visit_unary(op, [](auto functor) { return functor.needs; });
  const Saved saved = needs == Needs::input    ? Saved(in)
                      : needs == Needs::output ? Saved(y)
                                               : Saved();
  return record(name, y, {x}, [op, saved](const Tensor& g) -> Grads {
    Tensor dx = empty_like(g);
    kernel::unary_grad(g.device(), op, saved.get(), g, dx);
    return {dx};
  });
}

Tensor apply(Binary op, const char* name, const Tensor& a, const Tensor& b) {
  check_float(name, a);
  check_alike(name, {a, b});
  Tensor y = empty(broadcast_shape(name, a.shape(), b.shape()), a.dtype(), a.device());
  kernel::binary(a.device(), op, a.expand(y.shape()), b.expand(y.shape()), y);
  return y;
}

// For operators whose derivatives are functions of both operands.
Tensor binary(Binary op, const char* name, const Tensor& a, const Tensor& b) {
  const bool da = needs_grad(a), db = needs_grad(b);
  return record(name, apply(op, name, a, b), {a, b},
                [op, da, db, a = Saved(a), b = Saved(b)](const Tensor& g) -> Grads {
                  const Tensor ea = a.get().expand(g.shape()), eb = b.get().expand(g.shape());
                  const auto partial = [&](int operand) {
                    Tensor d = empty_like(g);
                    kernel::binary_grad(g.device(), op, operand, ea, eb, g, d);
                    return d;
                  };
                  return {da ? partial(0) : Tensor(), db ? partial(1) : Tensor()};
                });
}

}  // namespace

#define DIPTYCH_DEFINE(functor, op) \
  Tensor op(const Tensor& x) { return unary(Unary::op, #op, x); }
DIPTYCH_UNARY_OPS(DIPTYCH_DEFINE)
#undef DIPTYCH_DEFINE

#define DIPTYCH_CASE(functor, op) \
  case Unary::op:                 \
    return op(x);

Tensor unary(Unary f, const Tensor& x) {
  switch (f) { DIPTYCH_UNARY_OPS(DIPTYCH_CASE) }
  __builtin_unreachable();
}
#undef DIPTYCH_CASE

Tensor cast(const Tensor& x, DType dtype) {
  check(is_float(x.dtype()) && is_float(dtype), "cast: from ", x.dtype(), " to ", dtype,
        "; only floating-point types are differentiable, use to()");
  const DType from = gradient_dtype(x);
  return record("cast", x.to(dtype), {x},
                [from](const Tensor& g) -> Grads { return {g.to(from)}; });
}

Tensor add(const Tensor& a, const Tensor& b) {
  return record("add", apply(Binary::add, "add", a, b), {a, b}, [](const Tensor& g) -> Grads {
    return {g, g};
  });
}

Tensor sub(const Tensor& a, const Tensor& b) {
  return record("sub", apply(Binary::sub, "sub", a, b), {a, b}, [](const Tensor& g) -> Grads {
    Tensor db = empty_like(g);
    kernel::unary(g.device(), Unary::neg, g, db);
    return {g, db};
  });
}

// Each derivative needs the other operand alone: x · 0.5 does not keep x.
Tensor mul(const Tensor& a, const Tensor& b) {
  const bool da = needs_grad(a), db = needs_grad(b);
  return record(
      "mul", apply(Binary::mul, "mul", a, b), {a, b},
      [da, db, a = db ? Saved(a) : Saved(), b = da ? Saved(b) : Saved()](const Tensor& g) -> Grads {
        const auto times = [&](const Tensor& x) { return apply(Binary::mul, "mul", g, x); };
        return {da ? times(b.get()) : Tensor(), db ? times(a.get()) : Tensor()};
      });
}

Tensor div(const Tensor& a, const Tensor& b) { return binary(Binary::div, "div", a, b); }
Tensor pow(const Tensor& a, const Tensor& b) { return binary(Binary::pow, "pow", a, b); }
Tensor maximum(const Tensor& a, const Tensor& b) {
  return binary(Binary::maximum, "maximum", a, b);
}
Tensor minimum(const Tensor& a, const Tensor& b) {
  return binary(Binary::minimum, "minimum", a, b);
}

}  // namespace diptych
