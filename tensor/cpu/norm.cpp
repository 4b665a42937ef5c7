// tensor/cpu/norm.cpp — layer normalisation (Ba, Kiros and Hinton, 2016) and division by the
// Euclidean norm, with their gradients.
//
//   layer_norm    x̂ = (x - mean) rstd,  rstd = 1 / √(var + eps),  y = x̂ w + b
//                 dx = rstd (g w - Σ g w / D - x̂ Σ g w x̂ / D),  dw = Σ_rows g x̂,  db = Σ_rows g
//   l2_normalize  y = x / n,  n = max(‖x‖, eps);  dx = (g - y Σ g y) / n, or g / eps below eps
#include <cmath>

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

  static constexpr int kRooms = 4;  // x̂, g, g w or dx, and the row of x

  /// Adds the row's share to dw and db where wanted; leaves its dx.
  void row(int64_t i, A* room, A* __restrict dw, A* __restrict db) const {
    const int64_t n = width;
    A* __restrict norm = room;
    const A* __restrict in = widen(x + i * n, n, room + 3 * n);
    const A* __restrict grad = widen(g + i * n, n, room + n);
    for (int64_t j = 0; j < n; ++j) norm[j] = (in[j] - mean[i]) * rstd[i];
    if (dw)
      for (int64_t j = 0; j < n; ++j) dw[j] += grad[j] * norm[j];
    if (db)
      for (int64_t j = 0; j < n; ++j) db[j] += grad[j];
    if (dx) write_dx(i, norm, grad, room + 2 * n);
  }

  void write_dx(int64_t i, const A* norm, const A* grad, A* room) const {
    const A inverse = A(1) / static_cast<A>(width), r = rstd[i];
    const A* w = weight;
    const auto product = [](const auto&... v) { return (v * ...); };
    const A a = inverse * sum(width, product, grad, w);
    const A b = inverse * sum(width, product, grad, w, norm);
    A* __restrict out = landing(dx + i * width, room);
    for (int64_t j = 0; j < width; ++j) out[j] = r * (grad[j] * w[j] - a - norm[j] * b);
    narrow(out, width, dx + i * width);
  }
};

/// All rows: sums over rows go by chunks, see RowChunks.
template <class T>
void layer_norm_grad_rows(const LayerNormGrad<T>& grad, int64_t rows, T* dweight, T* dbias) {
  using A = acc_t<T>;
  static thread_local Scratch scratch;
  const int64_t width = grad.width;
  const RowChunks chunks(rows);
  A* parts = scratch.get<A>(2 * chunks.count() * width);
  A *dw = dweight ? parts : nullptr, *db = dbias ? parts + chunks.count() * width : nullptr;
  std::fill(parts, parts + 2 * chunks.count() * width, A(0));
  for_each_row<A>(chunks.count(), width, grad.kRooms, [&](int64_t k, A* room) {
    const int64_t at = k * width;
    for (int64_t i = chunks.begin(k); i < chunks.end(k); ++i)
      grad.row(i, room, dw ? dw + at : nullptr, db ? db + at : nullptr);
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
    static thread_local Scratch scratch;
    A* room_w = scratch.get<A>(2 * width);
    const A* w = widen(weight.data<T>(), width, room_w);
    const A* b = widen(bias.data<T>(), width, room_w + width);
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
    static thread_local Scratch scratch;
    const A* w = widen(weight.data<T>(), width, scratch.get<A>(width));
    const LayerNormGrad<T> grad{width,          x.data<T>(), g.data<T>(),          mean.data<A>(),
                                rstd.data<A>(), w,           output_or_null<T>(dx)};
    layer_norm_grad_rows(grad, rows, output_or_null<T>(dweight), output_or_null<T>(dbias));
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
