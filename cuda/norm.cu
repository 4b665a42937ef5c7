// cuda/norm.cu — layer normalisation (Ba, Kiros and Hinton, 2016) and division by the Euclidean
// norm, with their gradients.
//
//   layer_norm    x̂ = (x - mean) rstd,  rstd = 1 / √(var + eps),  y = x̂ w + b
//                 dx = rstd (g w - Σ g w / D - x̂ Σ g w x̂ / D),  dw = Σ_rows g x̂,  db = Σ_rows g
//   l2_normalize  y = x / n,  n = max(‖x‖, eps);  dx = (g - y Σ g y) / n, or g / eps below eps
//
// The variance is that of the centred row: Σ x² / D - mean² would lose every digit of a row whose
// mean is large.
#include <cmath>

#include "cuda/columns.cuh"
#include "cuda/rows.cuh"
#include "tensor/kernels.h"

namespace diptych::cuda {
namespace {

/// What the kernels of layer_norm read and write, for elements of type T.
template <class T>
struct LayerNorm {
  const T* x;
  const acc_t<T>*weight, *bias;
  acc_t<T> eps;
  T* y;
  acc_t<T>*mean, *rstd;
  int64_t N, D;
};

template <class T, class S>
__global__ void layer_norm_rows(LayerNorm<T> of) {
  using A = acc_t<T>;
  DIPTYCH_SHARED(A[kBlock / kWarp], room);
  const S share(of.N, of.D, room);
  const Row<T, S> x(of.x, share);
  const A inverse = A(1) / static_cast<A>(of.D);
  const A m = inverse * share.sum([](A v) { return v; }, x);
  const A var = inverse * share.sum([m](A v) { return (v - m) * (v - m); }, x);
  const A r = A(1) / std::sqrt(var + of.eps);
  share.write(
      of.y, [m, r](A v, A w, A b) { return (v - m) * r * w + b; }, x, EveryRow<A, S>{of.weight},
      EveryRow<A, S>{of.bias});
  if (share.leads()) of.mean[share.row] = m;
  if (share.leads()) of.rstd[share.row] = r;
}

/// The same for its gradient.
template <class T>
struct LayerNormGrad {
  using A = acc_t<T>;

  const T* x;
  const A *weight, *mean, *rstd;
  const T* g;
  int64_t N, D;

  /// g x̂ and g, the terms of dw and db, of row i.
  template <int kPack>
  __device__ auto columns(int64_t column) const {
    return [*this, column](int64_t i) {
      const A m = mean[i], r = rstd[i];
      const auto grad = load_wide<kPack>(g + i * D + column);
      const auto product = map<A>([m, r](A v, A d) { return d * (v - m) * r; },
                                  load_wide<kPack>(x + i * D + column), grad);
      return Two<Pack<A, kPack>>{product, grad};
    };
  }
};

template <class T, class S>
__global__ void layer_norm_grad_rows(LayerNormGrad<T> of, T* dx) {
  using A = acc_t<T>;
  DIPTYCH_SHARED(A[kBlock / kWarp], room);
  const S share(of.N, of.D, room);
  const Row<T, S> x(of.x, share), g(of.g, share);
  const EveryRow<A, S> weight{of.weight};
  const A m = of.mean[share.row], r = of.rstd[share.row], inverse = A(1) / static_cast<A>(of.D);
  const A a = inverse * share.sum([](A d, A w) { return d * w; }, g, weight);
  const A b = inverse * share.sum([=](A v, A d, A w) { return d * w * (v - m) * r; }, x, g, weight);
  share.write(
      dx, [=](A v, A d, A w) { return r * (d * w - a - (v - m) * r * b); }, x, g, weight);
}

/// What becomes of the sums of a column.
template <class A>
struct StoreSums {
  __device__ void operator()(int64_t j, double w, double b) const {
    if (dweight) dweight[j] = static_cast<A>(w);
    if (dbias) dbias[j] = static_cast<A>(b);
  }
  A *dweight, *dbias;
};

/// What the kernels of l2_normalize and of its gradient share: norm (N) is the divisor.
template <class T, class S>
__global__ void l2_normalize_rows(const T* x, acc_t<T> eps, T* y, acc_t<T>* norm, int64_t N,
                                  int64_t D) {
  using A = acc_t<T>;
  DIPTYCH_SHARED(A[kBlock / kWarp], room);
  const S share(N, D, room);
  const Row<T, S> in(x, share);
  const A length = std::sqrt(share.sum([](A v) { return v * v; }, in));
  const A divisor = length < eps ? eps : length, scale = A(1) / divisor;  // keeps NaN
  share.write(
      y, [scale](A v) { return v * scale; }, in);
  if (share.leads()) norm[share.row] = divisor;
}

template <class T, class S>
__global__ void l2_normalize_grad_rows(const T* y, const acc_t<T>* norm, acc_t<T> eps, const T* g,
                                       T* dx, int64_t N, int64_t D) {
  using A = acc_t<T>;
  DIPTYCH_SHARED(A[kBlock / kWarp], room);
  const S share(N, D, room);
  const Row<T, S> out(y, share), grad(g, share);
  const A divisor = norm[share.row], scale = A(1) / divisor;
  const A product = share.sum([](A v, A d) { return v * d; }, out, grad);
  const A dot = divisor <= eps ? A(0) : product;
  share.write(
      dx, [=](A v, A d) { return (d - v * dot) * scale; }, out, grad);
}

}  // namespace

void layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps, Tensor& y,
                Tensor& mean, Tensor& rstd) {
  visit_float(x.dtype(), [&]<class T>(Type<T>) {
    using A = acc_t<T>;
    const LayerNorm<T> of{x.data<T>(),         weight.data<A>(), bias.data<A>(),
                          static_cast<A>(eps), y.data<T>(),      mean.data<A>(),
                          rstd.data<A>(),      x.dim(0),         x.dim(1)};
    const auto run = [&]<class S>(Type<S>, const Grid& grid) {
      launch("layer_norm", layer_norm_rows<T, S>, grid, of);
    };
    visit_share<T>(of.N, of.D, run, of.x, of.weight, of.bias, of.y);
  });
}

void layer_norm_grad(const Tensor& x, const Tensor& weight, const Tensor& mean, const Tensor& rstd,
                     const Tensor& g, Tensor& dx, Tensor& dweight, Tensor& dbias) {
  visit_float(x.dtype(), [&]<class T>(Type<T>) {
    using A = acc_t<T>;
    const LayerNormGrad<T> of{x.data<T>(), weight.data<A>(), mean.data<A>(), rstd.data<A>(),
                              g.data<T>(), x.dim(0),         x.dim(1)};
    T* pd = data_or_null<T>(dx);
    const auto rows = [&]<class S>(Type<S>, const Grid& grid) {
      launch("layer_norm_grad", layer_norm_grad_rows<T, S>, grid, of, pd);
    };
    if (pd) visit_share<T>(of.N, of.D, rows, of.x, of.weight, of.g, pd);
    const StoreSums<A> finish{data_or_null<A>(dweight), data_or_null<A>(dbias)};
    const auto columns = [&](auto pack) {
      sum_columns<A, decltype(pack)::value>("layer_norm_grad", of, of.N, of.D, finish);
    };
    if (finish.dweight || finish.dbias) visit_pack<T>(of.D, columns, of.x, of.g);
  });
}

void l2_normalize(const Tensor& x, double eps, Tensor& y, Tensor& norm) {
  const int64_t N = x.dim(0), D = x.dim(1);
  visit_float(x.dtype(), [&]<class T>(Type<T>) {
    using A = acc_t<T>;
    const T* px = x.data<T>();
    T* py = y.data<T>();
    const auto run = [&]<class S>(Type<S>, const Grid& grid) {
      launch("l2_normalize", l2_normalize_rows<T, S>, grid, px, eps, py, norm.data<A>(), N, D);
    };
    visit_share<T>(N, D, run, px, py);
  });
}

void l2_normalize_grad(const Tensor& y, const Tensor& norm, double eps, const Tensor& g,
                       Tensor& dx) {
  const int64_t N = y.dim(0), D = y.dim(1);
  visit_float(y.dtype(), [&]<class T>(Type<T>) {
    using A = acc_t<T>;
    const T *py = y.data<T>(), *pg = g.data<T>();
    T* pd = dx.data<T>();
    const auto run = [&]<class S>(Type<S>, const Grid& grid) {
      launch("l2_normalize_grad", l2_normalize_grad_rows<T, S>, grid, py, norm.data<A>(), eps, pg,
             pd, N, D);
    };
    visit_share<T>(N, D, run, py, pg, pd);
  });
}

}  // namespace diptych::cuda
