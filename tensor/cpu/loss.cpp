// tensor/cpu/loss.cpp — cross entropy of rows of logits against class indices.
//
//   lse = m + ln Σ eˣ⁻ᵐ,  m = max x;   loss = lse - x[target];   dx = g / N (eˣ⁻ˡˢᵉ - onehot)
#include "tensor/cpu/rows.h"
#include "tensor/kernels.h"

namespace diptych::cpu {
namespace {

template <class A>
A log_sum_exp(const A* x, int64_t n, A* room) {
  const A m = max(n, x);
  return m + std::log(exp_shifted(x, m, n, room));
}

}  // namespace

void cross_entropy(const Tensor& logits, const Tensor& target, Tensor& loss, Tensor& lse) {
  const int64_t rows = logits.dim(0), width = logits.dim(1);
  visit_float(logits.dtype(), [&]<class T>(Type<T>) {
    using A = acc_t<T>;
    const T* x = logits.data<T>();
    const int64_t* t = target.data<int64_t>();
    A *pl = loss.data<A>(), *ps = lse.data<A>();
    for_each_row<A>(rows, width, 2, [&](int64_t row, A* room) {
      const A* in = widen(x + row * width, width, room);
      ps[row] = log_sum_exp(in, width, room + width);
      pl[row] = ps[row] - in[t[row]];
    });
  });
}

void cross_entropy_grad(const Tensor& logits, const Tensor& lse, const Tensor& target,
                        const Tensor& g, Tensor& dlogits) {
  const int64_t rows = logits.dim(0), width = logits.dim(1);
  visit_float(logits.dtype(), [&]<class T>(Type<T>) {
    using A = acc_t<T>;
    const T* x = logits.data<T>();
    const int64_t* t = target.data<int64_t>();
    const A* ps = lse.data<A>();
    T* pd = dlogits.data<T>();
    const double scale = static_cast<double>(*g.data<A>()) / static_cast<double>(rows);
    for_each_row<A>(rows, width, 2, [&, s = static_cast<A>(scale)](int64_t row, A* room) {
      const A* in = widen(x + row * width, width, room);
      const A shift = ps[row];
      A* __restrict out = landing(pd + row * width, room + width);
      for (int64_t j = 0; j < width; ++j) out[j] = s * scalar::exp(in[j] - shift);
      out[t[row]] -= s;
      narrow(out, width, pd + row * width);
    });
  });
}

}  // namespace diptych::cpu
