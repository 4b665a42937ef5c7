// cuda/pool.cu — means of k × k squares of pixels, y = Σ x / k², dx = g / k², and maxima.
//
// A thread takes one square for S channels: a pack of neighbours where C is a multiple of it, else
// one. Neighbouring threads take neighbouring channels, which are neighbours in memory.
#include <limits>

#include "cuda/packs.cuh"
#include "tensor/kernels.h"

namespace diptych::cuda {
namespace {

/// Where the squares of x (B, H, W, C) and their pixels are; y (B, H/k, W/k, C).
struct Squares {
  Squares(const Tensor& x, const Tensor& y, int64_t side)
      : k(side), width(x.dim(2)), C(x.dim(3)), columns(y.dim(2)), elements(y.numel()) {}

  /// Calls f(position) for the pixels of the square of element i of y, in the same channel.
  template <class F>
  __device__ void each_pixel(int64_t i, const F& f) const {
    const int64_t m = i / C, row = m / columns * k, column = m % columns * k;
    const int64_t corner = (row * width + column) * C + i % C;
    for (int64_t r = 0; r < k; ++r)
      for (int64_t c = 0; c < k; ++c) f(corner + (r * width + c) * C);
  }
  int64_t k, width, C, columns, elements;
};

template <int S, class T>
__global__ void mean(Squares squares, const T* x, T* y) {
  using A = acc_t<T>;
  const int64_t i = thread_number() * S;
  if (i >= squares.elements) return;
  A total[S] = {};
  squares.each_pixel(i, [&](int64_t at) {
    const Pack<T, S> in = load<S>(x + at, S, true);
    DIPTYCH_UNROLL
    for (int j = 0; j < S; ++j) total[j] += widen(in.at[j]);
  });
  const A scale = A(1) / static_cast<A>(squares.k * squares.k);
  Pack<T, S> out;
  DIPTYCH_UNROLL
  for (int j = 0; j < S; ++j) out.at[j] = narrow<T>(total[j] * scale);
  store(out, S, true, y + i);
}

template <int S, class T>
__global__ void mean_grad(Squares squares, const T* g, T* dx) {
  using A = acc_t<T>;
  const int64_t i = thread_number() * S;
  if (i >= squares.elements) return;
  const A scale = A(1) / static_cast<A>(squares.k * squares.k);
  Pack<T, S> d = load<S>(g + i, S, true);
  DIPTYCH_UNROLL
  for (T& e : d.at) e = narrow<T>(widen(e) * scale);
  squares.each_pixel(i, [&](int64_t at) { store(d, S, true, dx + at); });
}

template <int S, class T>
__global__ void maximum(Squares squares, const T* x, T* y) {
  using A = acc_t<T>;
  const int64_t i = thread_number() * S;
  if (i >= squares.elements) return;
  Pack<A, S> top = splat<S>(-std::numeric_limits<A>::infinity());
  squares.each_pixel(i, [&](int64_t at) {
    const Pack<T, S> in = load<S>(x + at, S, true);
    DIPTYCH_UNROLL
    for (int j = 0; j < S; ++j) top.at[j] = Max{}(top.at[j], widen(in.at[j]));
  });
  Pack<T, S> out;
  DIPTYCH_UNROLL
  for (int j = 0; j < S; ++j) out.at[j] = narrow<T>(top.at[j]);
  store(out, S, true, y + i);
}

template <int S, class T>
__global__ void maximum_grad(Squares squares, const T* x, const T* y, const T* g, T* dx) {
  const int64_t i = thread_number() * S;
  if (i >= squares.elements) return;
  const Pack<T, S> top = load<S>(y + i, S, true), grad = load<S>(g + i, S, true);
  bool met[S] = {};
  squares.each_pixel(i, [&](int64_t at) {
    const Pack<T, S> in = load<S>(x + at, S, true);
    Pack<T, S> d{};
    DIPTYCH_UNROLL
    for (int j = 0; j < S; ++j) {
      const acc_t<T> v = widen(in.at[j]), most = widen(top.at[j]);
      const bool first = !met[j] && (v == most || (v != v && most != most));
      if (first) d.at[j] = grad.at[j];
      met[j] = met[j] || first;
    }
    store(d, S, true, dx + at);
  });
}

/// Calls f(Type<T>, S as a constant): 16 bytes' elements if all `arrays` and C allow it, else one.
template <class F, class... Arrays>
void visit_packs(const Squares& squares, const F& f, const Tensor& first, const Arrays&... more) {
  visit_float(first.dtype(), [&]<class T>(Type<T> type) {
    constexpr int S = Pack<T>::kSize;
    if (squares.C % S == 0 && is_packed(first.data<T>(), more.template data<T>()...)) {
      f(type, std::integral_constant<int, S>{});
    } else {
      f(type, std::integral_constant<int, 1>{});
    }
  });
}

}  // namespace

void avg_pool(const Tensor& x, int64_t k, Tensor& y) {
  const Squares squares(x, y, k);
  const auto start = [&]<class T, int S>(Type<T>, std::integral_constant<int, S>) {
    launch("avg_pool", &mean<S, T>, grid_for(y.numel(), S), squares, x.data<T>(), y.data<T>());
  };
  visit_packs(squares, start, x, y);
}

void avg_pool_grad(const Tensor& g, int64_t k, Tensor& dx) {
  const Squares squares(dx, g, k);
  const auto start = [&]<class T, int S>(Type<T>, std::integral_constant<int, S>) {
    launch("avg_pool_grad", &mean_grad<S, T>, grid_for(g.numel(), S), squares, g.data<T>(),
           dx.data<T>());
  };
  visit_packs(squares, start, g, dx);
}

void max_pool(const Tensor& x, int64_t k, Tensor& y) {
  const Squares squares(x, y, k);
  const auto start = [&]<class T, int S>(Type<T>, std::integral_constant<int, S>) {
    launch("max_pool", &maximum<S, T>, grid_for(y.numel(), S), squares, x.data<T>(), y.data<T>());
  };
  visit_packs(squares, start, x, y);
}

void max_pool_grad(const Tensor& x, const Tensor& y, const Tensor& g, int64_t k, Tensor& dx) {
  const Squares squares(x, y, k);
  const auto start = [&]<class T, int S>(Type<T>, std::integral_constant<int, S>) {
    launch("max_pool_grad", &maximum_grad<S, T>, grid_for(y.numel(), S), squares, x.data<T>(),
           y.data<T>(), g.data<T>(), dx.data<T>());
  };
  visit_packs(squares, start, x, y, g, dx);
}

}  // namespace diptych::cuda
