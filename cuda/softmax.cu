// cuda/softmax.cu — softmax and log-softmax of rows, with their gradients.
//
//   softmax      y = eˣ⁻ᵐ / Σ eˣ⁻ᵐ,  m = max x        dx = y (g - Σ g y)
//   log_softmax  y = x - m - ln Σ eˣ⁻ᵐ                dx = g - eʸ Σ g
//
// Entries of -inf get probability 0; a row of nothing else is NaN, as in PyTorch. eˣ⁻ᵐ is computed
// twice rather than kept: it is memory that these kernels wait for.
#include <cmath>

#include "cuda/rows.cuh"
#include "tensor/kernels.h"
#include "tensor/scalar_math.h"

namespace diptych::cuda {
namespace {

// Each of the four, for one row: `share` is the thread's part of it.

struct Softmax {
  template <class T, class S>
  __device__ void operator()(const S& share, const Row<T, S>& x, T* y) const {
    using A = acc_t<T>;
    const A m = share.max(x);
    const A scale = A(1) / share.sum([m](A v) { return scalar::exp(v - m); }, x);
    share.write(
        y, [m, scale](A v) { return scalar::exp(v - m) * scale; }, x);
  }
};

struct LogSoftmax {
  template <class T, class S>
  __device__ void operator()(const S& share, const Row<T, S>& x, T* y) const {
    using A = acc_t<T>;
    const A m = share.max(x);
    const A log_sum = std::log(share.sum([m](A v) { return scalar::exp(v - m); }, x));
    share.write(
        y, [m, log_sum](A v) { return v - m - log_sum; }, x);
  }
};

struct SoftmaxGrad {
  template <class T, class S>
  __device__ void operator()(const S& share, const Row<T, S>& y, const Row<T, S>& g, T* dx) const {
    using A = acc_t<T>;
    const A dot = share.sum([](A p, A d) { return p * d; }, y, g);
    share.write(
        dx, [dot](A p, A d) { return p * (d - dot); }, y, g);
  }
};

struct LogSoftmaxGrad {
  template <class T, class S>
  __device__ void operator()(const S& share, const Row<T, S>& y, const Row<T, S>& g, T* dx) const {
    using A = acc_t<T>;
    const A total = share.sum([](A d) { return d; }, g);
    share.write(
        dx, [total](A v, A d) { return d - scalar::exp(v) * total; }, y, g);
  }
};

template <class F, class T, class S>
__global__ void map_rows(const T* x, T* y, int64_t N, int64_t D) {
  DIPTYCH_SHARED(acc_t<T>[kBlock / kWarp], room);
  const S share(N, D, room);
  F{}(share, Row<T, S>(x, share), y);
}

template <class F, class T, class S>
__global__ void map_grad_rows(const T* y, const T* g, T* dx, int64_t N, int64_t D) {
  DIPTYCH_SHARED(acc_t<T>[kBlock / kWarp], room);
  const S share(N, D, room);
  F{}(share, Row<T, S>(y, share), Row<T, S>(g, share), dx);
}

template <class F>
void start(const char* name, const Tensor& x, Tensor& y) {
  const int64_t N = x.dim(0), D = x.dim(1);
  visit_float(x.dtype(), [&]<class T>(Type<T>) {
    const T* px = x.data<T>();
    T* py = y.data<T>();
    const auto run = [&]<class S>(Type<S>, const Grid& grid) {
      launch(name, map_rows<F, T, S>, grid, px, py, N, D);
    };
    visit_share<T>(N, D, run, px, py);
  });
}

template <class F>
void start_grad(const char* name, const Tensor& y, const Tensor& g, Tensor& dx) {
  const int64_t N = y.dim(0), D = y.dim(1);
  visit_float(y.dtype(), [&]<class T>(Type<T>) {
    const T *py = y.data<T>(), *pg = g.data<T>();
    T* pd = dx.data<T>();
    const auto run = [&]<class S>(Type<S>, const Grid& grid) {
      launch(name, map_grad_rows<F, T, S>, grid, py, pg, pd, N, D);
    };
    visit_share<T>(N, D, run, py, pg, pd);
  });
}

}  // namespace

void softmax(const Tensor& x, Tensor& y) { start<Softmax>("softmax", x, y); }

void softmax_grad(const Tensor& y, const Tensor& g, Tensor& dx) {
  start_grad<SoftmaxGrad>("softmax_grad", y, g, dx);
}

void log_softmax(const Tensor& x, Tensor& y) { start<LogSoftmax>("log_softmax", x, y); }

void log_softmax_grad(const Tensor& y, const Tensor& g, Tensor& dx) {
  start_grad<LogSoftmaxGrad>("log_softmax_grad", y, g, dx);
}

}  // namespace diptych::cuda
