// cuda/batch_norm_grad.cu — the gradient of batch normalisation of columns of x (N, D), with a ReLU
// behind it if wanted.
//
//   g ← g where y > 0 (relu);  dw = Σ g x̂,  db = Σ g
//   dx = rstd w (g - db / N - x̂ dw / N)         if mean and rstd are those of x, else rstd w g
#include "cuda/batch_norm.cuh"
#include "tensor/kernels.h"

namespace diptych::cuda {
namespace {

/// What its gradient reads and writes besides.
template <class T>
struct BatchNormGrad {
  using A = acc_t<T>;

  /// g (x - mean) and g, the terms of dw / rstd and db, of row i.
  template <int kPack>
  __device__ auto columns(int64_t j) const {
    return [*this, j, columns = Columns<T, kPack>(of, j)](int64_t i) {
      const auto in = load_wide<kPack>(of.x + i * of.D + j), grad = arriving(columns, in, i, j);
      const auto product = [](A v, A m, A d) { return d * (v - m); };
      return Two<Pack<A, kPack>>{map<A>(product, in, columns.mean, grad), grad};
    };
  }

  /// g as it arrives at the sum.
  template <int kPack>
  __device__ Pack<A, kPack> arriving(const Columns<T, kPack>& columns, const Pack<A, kPack>& x,
                                     int64_t i, int64_t j) const {
    const auto grad = load_wide<kPack>(g + i * of.D + j);
    return of.relu ? columns.passed(x, grad) : grad;
  }

  /// The sums of column j are complete.
  __device__ void operator()(int64_t j, double w, double b) const {
    dw[j] = static_cast<A>(w) * of.rstd(j);
    db[j] = static_cast<A>(b);
    if (dweight) dweight[j] = dw[j];
    if (dbias) dbias[j] = db[j];
  }

  BatchNorm<T> of;
  const T* g;
  A *dw, *db;
  T* dx;
  A *dweight, *dbias;
};

/// dx = scale (g - a - (x - mean) b),  a = db / N,  b = dw rstd / N; both 0 unless of_batch
template <class T, int kPack>
__global__ void batch_norm_grad_columns(BatchNormGrad<T> grad, Tiling tiling, bool of_batch) {
  using A = acc_t<T>;
  const BatchNorm<T>& of = grad.of;
  const Walk<kPack> walk(tiling);
  if (walk.begin >= walk.end) return;
  const Columns<T, kPack> columns(of, walk.column);
  const A inverse = A(1) / static_cast<A>(of.N);
  Pack<A, kPack> a{}, b{};
  for (int i = 0; of_batch && i < kPack; ++i) {
    a.at[i] = grad.db[walk.column + i] * inverse;
    b.at[i] = grad.dw[walk.column + i] * of.rstd(walk.column + i) * inverse;
  }
  walk.each_row([&](int64_t i) {
    const auto x = load_wide<kPack>(of.x + i * of.D + walk.column);
    auto d = grad.arriving(columns, x, i, walk.column);
    DIPTYCH_UNROLL
    for (int k = 0; k < kPack; ++k)
      d.at[k] =
          columns.scale.at[k] * (d.at[k] - a.at[k] - (x.at[k] - columns.mean.at[k]) * b.at[k]);
    store_narrow(d, grad.dx + i * of.D + walk.column);
  });
}

}  // namespace

void batch_norm_grad(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& mean,
                     const Tensor& var, double eps, const Tensor& g, bool relu, bool of_batch,
                     Tensor& dx, Tensor& dweight, Tensor& dbias) {
  visit_float(x.dtype(), [&]<class T>(Type<T>) {
    using A = acc_t<T>;
    const BatchNorm<T> of(x, weight, bias, mean, var, eps, relu);
    const Tensor sums = empty({2, of.D}, dtype_of<A>(), Device::cuda);
    const BatchNormGrad<T> grad{of,
                                g.data<T>(),
                                sums.data<A>(),
                                sums.data<A>() + of.D,
                                data_or_null<T>(dx),
                                data_or_null<A>(dweight),
                                data_or_null<A>(dbias)};
    const auto run = [&]<int kPack>(std::integral_constant<int, kPack>) {
      const char* name = "batch_norm_grad";
      if (of_batch || grad.dweight || grad.dbias)
        sum_columns<A, kPack>(name, grad, of.N, of.D, grad);
      const Tiling tiling(of.N, of.D, kPack);
      if (grad.dx)
        launch(name, batch_norm_grad_columns<T, kPack>, tiling.grid(), grad, tiling, of_batch);
    };
    visit_pack<T>(of.D, run, of.x, grad.g, grad.dx);
  });
}

}  // namespace diptych::cuda
