// cuda/batch_norm.cuh — what batch normalisation and its gradient have in common.
//
//   rstd = 1 / √(var + eps),  x̂ = (x - mean) rstd,  y = x̂ w + b
#pragma once

#include <cmath>
#include <limits>

#include "cuda/columns.cuh"

namespace diptych::cuda {

/// What batch_norm and its gradient read.
template <class T>
struct BatchNorm {
  using A = acc_t<T>;

  BatchNorm(const Tensor& in, const Tensor& w, const Tensor& b, const Tensor& m, const Tensor& v,
            double epsilon, bool rectify)
      : N(in.dim(0)),
        D(in.dim(1)),
        x(in.data<T>()),
        weight(w.data<A>()),
        bias(b.data<A>()),
        mean(m.data<A>()),
        var(v.data<A>()),
        eps(static_cast<A>(epsilon)),
        relu(rectify) {}

  __device__ A rstd(int64_t j) const { return A(1) / std::sqrt(var[j] + eps); }

  int64_t N, D;
  const T* x;
  const A *weight, *bias, *mean, *var;
  A eps;
  bool relu;
};

/// The part of it that belongs to kPack columns.
template <class T, int kPack>
struct Columns {
  using A = acc_t<T>;
  using Wide = Pack<A, kPack>;

  __device__ Columns(const BatchNorm<T>& of, int64_t j)
      : mean(load_each<kPack>(of.mean + j)),
        scale(load_each<kPack>(of.weight + j)),
        bias(load_each<kPack>(of.bias + j)) {
    DIPTYCH_UNROLL
    for (int i = 0; i < kPack; ++i) scale.at[i] *= of.rstd(j + i);
  }

  /// x̂ w + b
  __device__ Wide affine(const Wide& x) const {
    return map<A>([](A v, A m, A s, A b) { return (v - m) * s + b; }, x, mean, scale, bias);
  }

  /// g where the ReLU let x pass, else 0.
  __device__ Wide passed(const Wide& x, const Wide& g) const {
    return map<A>([](A y, A d) { return y > A(0) ? d : A(0); }, affine(x), g);
  }

  Wide mean, scale, bias;  ///< scale = weight rstd
};

}  // namespace diptych::cuda
