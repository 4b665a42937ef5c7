// tensor/cpu/norm.cpp — layer normalisation (Ba, Kiros and Hinton, 2016) and division by the
// Euclidean norm, with their gradients.
//
//   layer_norm    x̂ = (x - mean) rstd,  rstd = 1 / √(var + eps),  y = x̂ w + b
//                 dx = rstd (g w - Σ g w / D - x̂ Σ g w x̂ / D),  dw = Σ_rows g x̂,  db = Σ_rows g
//   l2_normalize  y = x / n,  n = max(‖x‖, eps);  dx = (g - y Σ g y) / n, or g / eps below eps
#include <array>
#include <cmath>

#include "tensor/cpu/row_groups.h"
#include "tensor/cpu/rows.h"
#include "tensor/kernels.h"

namespace diptych::cpu {
namespace {

template <class T>
T* output_or_null(Tensor& x) {
  return x.defined() ? x.data<T>() : nullptr;
}

/// The gradient of layer_norm for elements of type T, over rows of width D.
template <class T>
struct LayerNormGrad {
  using A = acc_t<T>;

  int64_t width;
  const T *x, *g;
  const A *mean, *rstd, *weight;
  T* dx;

  /// Adds the share of `Rows` rows from i on to dw and db where wanted; leaves their dx.
  template <int Rows>
  void group(int64_t i, A* dw, A* db) const {
    std::array<vec<A>, Rows> a{}, b{};  // Σ g w, Σ g w x̂
    for_each_vector<A>(width, [&](int64_t j, int64_t n) {
      const vec<A> w = load_wide(weight + j, n);
      vec<A> sum_w{}, sum_b{};
      for (int r = 0; r < Rows; ++r) {
        const vec<A> grad = load_wide(g + (i + r) * width + j, n), norm = normalized(i + r, j, n);
        sum_w += grad * norm;
        sum_b += grad;
        a[r] += grad * w;
        b[r] += grad * w * norm;
      }
      if (dw) store_narrow(dw + j, load_wide(dw + j, n) + sum_w, n);
      if (db) store_narrow(db + j, load_wide(db + j, n) + sum_b, n);
    });
    for (int r = 0; dx && r < Rows; ++r) write_dx(i + r, sum_lanes<A>(a[r]), sum_lanes<A>(b[r]));
  }

  vec<A> normalized(int64_t i, int64_t j, int64_t n) const {
    return (load_wide(x + i * width + j, n) - mean[i]) * rstd[i];
  }

  void write_dx(int64_t i, A a, A b) const {
    const A inverse = A(1) / static_cast<A>(width);
    a *= inverse;
    b *= inverse;
    for_each_vector<A>(width, [&](int64_t j, int64_t n) {
      const vec<A> grad = load_wide(g + i * width + j, n) * load_wide(weight + j, n);
      store_narrow(dx + i * width + j, rstd[i] * (grad - a - normalized(i, j, n) * b), n);
    });
  }
};

/// All rows: sums over rows go by chunks, see RowChunks.
template <class T, class A = acc_t<T>>
void layer_norm_grad_rows(const LayerNormGrad<T>& grad, int64_t rows, A* dweight, A* dbias) {
  static thread_local Scratch scratch;
  const int64_t width = grad.width;
  const RowChunks chunks(rows);
  A* parts = scratch.get<A>(2 * chunks.count() * width);
  A *dw = dweight ? parts : nullptr, *db = dbias ? parts + chunks.count() * width : nullptr;
  std::fill(parts, parts + 2 * chunks.count() * width, A(0));
  parallel_for(chunks.count(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k)
      for_each_group(chunks.begin(k), chunks.end(k), [&](auto group, int64_t i) {
        grad.template group<group>(i, dw ? dw + k * width : nullptr, db ? db + k * width : nullptr);
      });
  });
  if (dw) add_parts(dw, chunks.count(), width, dweight);
  if (db) add_parts(db, chunks.count(), width, dbias);
}

}  // namespace

void layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps, Tensor& y,
                Tensor& mean, Tensor& rstd) {
  const int64_t rows = x.dim(0), width = x.dim(1);
  visit_float(x.dtype(), [&]<class T>(Type<T>) {
    using A = acc_t<T>;
    const A *w = weight.data<A>(), *b = bias.data<A>();
    const T* px = x.data<T>();
    T* py = y.data<T>();
    A *pm = mean.data<A>(), *pr = rstd.data<A>();
    const A inverse = A(1) / static_cast<A>(width);
    for_each_row<A>(rows, width, 2, [&](int64_t row, A* room) {
      const A* in = widen(px + row * width, width, room);
      const A m = inverse * sum(width, in);
      const A var = inverse * sum(
                                  width, [m](const auto& v) { return (v - m) * (v - m); }, in);
      const A r = A(1) / std::sqrt(var + static_cast<A>(eps));
      A* __restrict out = landing(py + row * width, room + width);
      for (int64_t j = 0; j < width; ++j) out[j] = (in[j] - m) * r * w[j] + b[j];
      narrow(out, width, py + row * width);
      pm[row] = m;
      pr[row] = r;
    });
  });
}

void layer_norm_grad(const Tensor& x, const Tensor& weight, const Tensor& mean, const Tensor& rstd,
                     const Tensor& g, Tensor& dx, Tensor& dweight, Tensor& dbias) {
  const int64_t rows = x.dim(0), width = x.dim(1);
  visit_float(x.dtype(), [&]<class T>(Type<T>) {
    using A = acc_t<T>;
    const LayerNormGrad<T> grad{
        width,          x.data<T>(),      g.data<T>(),          mean.data<A>(),
        rstd.data<A>(), weight.data<A>(), output_or_null<T>(dx)};
    layer_norm_grad_rows(grad, rows, output_or_null<A>(dweight), output_or_null<A>(dbias));
  });
}

void l2_normalize(const Tensor& x, double eps, Tensor& y, Tensor& norm) {
  const int64_t rows = x.dim(0), width = x.dim(1);
  visit_float(x.dtype(), [&]<class T>(Type<T>) {
    using A = acc_t<T>;
    const T* px = x.data<T>();
    T* py = y.data<T>();
    A* pn = norm.data<A>();
    for_each_row<A>(rows, width, 2, [&](int64_t row, A* room) {
      const A* in = widen(px + row * width, width, room);
      const A length = std::sqrt(sum(
          width, [](const auto& v) { return v * v; }, in));
      pn[row] = length < static_cast<A>(eps) ? static_cast<A>(eps) : length;  // keeps NaN
      const A scale = A(1) / pn[row];
      A* __restrict out = landing(py + row * width, room + width);
      for (int64_t j = 0; j < width; ++j) out[j] = in[j] * scale;
      narrow(out, width, py + row * width);
    });
  });
}

void l2_normalize_grad(const Tensor& y, const Tensor& norm, double eps, const Tensor& g,
                       Tensor& dx) {
  const int64_t rows = y.dim(0), width = y.dim(1);
  visit_float(y.dtype(), [&]<class T>(Type<T>) {
    using A = acc_t<T>;
    const T *py = y.data<T>(), *pg = g.data<T>();
    T* pd = dx.data<T>();
    const A* pn = norm.data<A>();
    for_each_row<A>(rows, width, 3, [&](int64_t row, A* room) {
      const A* out = widen(py + row * width, width, room);
      const A* grad = widen(pg + row * width, width, room + width);
      const bool clamped = pn[row] <= static_cast<A>(eps);
      const auto product = [](const auto& a, const auto& b) { return a * b; };
      const A dot = clamped ? A(0) : sum(width, product, grad, out);
      const A scale = A(1) / pn[row];
      A* __restrict d = landing(pd + row * width, room + 2 * width);
      for (int64_t j = 0; j < width; ++j) d[j] = (grad[j] - out[j] * dot) * scale;
      narrow(d, width, pd + row * width);
    });
  });
}

}  // namespace diptych::cpu
