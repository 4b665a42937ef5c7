// cuda/loss.cu — cross entropy of rows of logits against class indices.
//
//   lse = m + ln Σ eˣ⁻ᵐ,  m = max x;   loss = lse - x[target];   dx = g / N (eˣ⁻ˡˢᵉ - onehot)
//
// A row whose target is out of range has loss 0 and gradient 0, besides being reported.
#include <cmath>
#include <limits>

#include "cuda/rows.cuh"
#include "tensor/kernels.h"
#include "tensor/scalar_math.h"

namespace diptych::cuda {
namespace {

/// Σ eˣ⁻ᵐ under the largest x so far, m, in one pass: what was added up is rescaled when m grows
/// (Milakov and Gimelshein, 2018).
template <class A>
struct OnlineSum {
  __device__ void operator()(A x) {
    if (x == -std::numeric_limits<A>::infinity()) return;
    const bool grows = x > m;
    const A smaller = scalar::exp(grows ? m - x : x - m);
    sum = grows ? sum * smaller + A(1) : sum + smaller;
    m = grows ? x : m;
  }
  A m = -std::numeric_limits<A>::infinity(), sum = 0;
};

template <class T, class S>
__global__ void cross_entropy_rows(const T* logits, const int64_t* target, acc_t<T>* loss,
                                   acc_t<T>* lse, int64_t N, int64_t D, IndexReport* report) {
  using A = acc_t<T>;
  DIPTYCH_SHARED(A[kBlock / kWarp], room);
  const S share(N, D, room);
  OnlineSum<A> own;
  share.each([&own](A v) { own(v); }, Row<T, S>(logits, share));
  // Where m is infinite this is NaN, as in softmax: e to the power of inf - inf.
  const A m = share.fold(own.m, Max{});
  const A total = m + std::log(share.fold(own.sum * scalar::exp(own.m - m), Sum{}));
  if (!share.leads()) return;
  const int64_t t = target[share.row];
  lse[share.row] = total;
  loss[share.row] = in_range(t, D, Indexed::cross_entropy, report)
                        ? total - widen(logits[share.row * D + t])
                        : A(0);
}

template <class T, class S>
__global__ void cross_entropy_grad_rows(const T* logits, const acc_t<T>* lse, const int64_t* target,
                                        const acc_t<T>* g, T* dx, int64_t N, int64_t D,
                                        IndexReport* report) {
  using A = acc_t<T>;
  const S share(N, D, nullptr);
  const int64_t t = target[share.row];
  const bool known = in_range(t, D, Indexed::cross_entropy, report);
  const A scale = static_cast<A>(static_cast<double>(*g) / static_cast<double>(N));
  const A shift = lse[share.row];
  const auto f = [=](A v, int64_t j) {
    const A p = scale * scalar::exp(v - shift);
    return !known ? A(0) : j == t ? p - scale : p;
  };
  share.write(dx, f, Row<T, S>(logits, share), Numbers<S>{});
}

}  // namespace

void cross_entropy(const Tensor& logits, const Tensor& target, Tensor& loss, Tensor& lse) {
  const int64_t N = logits.dim(0), D = logits.dim(1);
  visit_float(logits.dtype(), [&]<class T>(Type<T>) {
    using A = acc_t<T>;
    const T* px = logits.data<T>();
    const auto run = [&]<class S>(Type<S>, const Grid& grid) {
      launch("cross_entropy", cross_entropy_rows<T, S>, grid, px, target.data<int64_t>(),
             loss.data<A>(), lse.data<A>(), N, D, index_report());
    };
    visit_share<T>(N, D, run, px);
  });
}

void cross_entropy_grad(const Tensor& logits, const Tensor& lse, const Tensor& target,
                        const Tensor& g, Tensor& dlogits) {
  const int64_t N = logits.dim(0), D = logits.dim(1);
  visit_float(logits.dtype(), [&]<class T>(Type<T>) {
    using A = acc_t<T>;
    const T* px = logits.data<T>();
    T* pd = dlogits.data<T>();
    const auto run = [&]<class S>(Type<S>, const Grid& grid) {
      launch("cross_entropy_grad", cross_entropy_grad_rows<T, S>, grid, px, lse.data<A>(),
             target.data<int64_t>(), g.data<A>(), pd, N, D, index_report());
    };
    visit_share<T>(N, D, run, px, pd);
  });
}

}  // namespace diptych::cuda
