// tensor/cpu/softmax.cpp — softmax and log-softmax of rows, with their gradients.
//
//   softmax      y = eˣ⁻ᵐ / Σ eˣ⁻ᵐ,  m = max x        dx = y (g - Σ g y)
//   log_softmax  y = x - m - ln Σ eˣ⁻ᵐ                dx = g - eʸ Σ g
//
// Entries of -inf get probability 0; a row of nothing else is NaN, as in PyTorch.
#include "tensor/cpu/rows.h"
#include "tensor/kernels.h"

namespace diptych::cpu {
namespace {

/// Calls f(row of x, row of y, D) with both rows in the arithmetic type.
template <class F>
void map_rows(const Tensor& x, Tensor& y, const F& f) {
  const int64_t n = x.dim(0), width = x.dim(1);
  visit_float(x.dtype(), [&]<class T>(Type<T>) {
    using A = acc_t<T>;
    for_each_row<A>(n, width, 2, [&, px = x.data<T>(), py = y.data<T>()](int64_t row, A* room) {
      A* out = landing(py + row * width, room + width);
      f(widen(px + row * width, width, room), out, width);
      narrow(out, width, py + row * width);
    });
  });
}

/// The same for gradients: f(row of y, row of g, row of dx, D).
template <class F>
void map_grad_rows(const Tensor& y, const Tensor& g, Tensor& dx, const F& f) {
  const int64_t n = y.dim(0), width = y.dim(1);
  visit_float(y.dtype(), [&]<class T>(Type<T>) {
    using A = acc_t<T>;
    const T *py = y.data<T>(), *pg = g.data<T>();
    T* pd = dx.data<T>();
    for_each_row<A>(n, width, 3, [&](int64_t row, A* room) {
      const int64_t at = row * width;
      A* out = landing(pd + at, room + 2 * width);
      f(widen(py + at, width, room), widen(pg + at, width, room + width), out, width);
      narrow(out, width, pd + at);
    });
  });
}

}  // namespace

void softmax(const Tensor& x, Tensor& y) {
  map_rows(x, y, []<class A>(const A* in, A* out, int64_t n) {
    const A scale = A(1) / exp_shifted(in, max(n, in), n, out);
    for (int64_t i = 0; i < n; ++i) out[i] *= scale;
  });
}

void softmax_grad(const Tensor& y, const Tensor& g, Tensor& dx) {
  map_grad_rows(y, g, dx, []<class A>(const A* py, const A* pg, A* __restrict out, int64_t n) {
    const A dot = sum(
        n, [](const auto& a, const auto& b) { return a * b; }, pg, py);
    for (int64_t i = 0; i < n; ++i) out[i] = py[i] * (pg[i] - dot);
  });
}

void log_softmax(const Tensor& x, Tensor& y) {
  map_rows(x, y, []<class A>(const A* in, A* __restrict out, int64_t n) {
    const A m = max(n, in);
    const A log_sum = std::log(exp_shifted(in, m, n, out));
    for (int64_t i = 0; i < n; ++i) out[i] = in[i] - m - log_sum;
  });
}

void log_softmax_grad(const Tensor& y, const Tensor& g, Tensor& dx) {
  map_grad_rows(y, g, dx, []<class A>(const A* py, const A* pg, A* __restrict out, int64_t n) {
    const A total = sum(n, pg);
    for (int64_t i = 0; i < n; ++i) out[i] = pg[i] - scalar::exp(py[i]) * total;
  });
}

}  // namespace diptych::cpu
