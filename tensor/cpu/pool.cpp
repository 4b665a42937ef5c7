// tensor/cpu/pool.cpp — means of k × k squares of pixels, y = Σ x / k², dx = g / k², and maxima.
#include "tensor/cpu/rows.h"
#include "tensor/kernels.h"

namespace diptych::cpu {
namespace {

/// Where the squares of x (B, H, W, C) and their pixels are; y (B, H/k, W/k, C).
struct Squares {
  Squares(const Tensor& x, const Tensor& y, int64_t side)
      : k(side), width(x.dim(2)), C(x.dim(3)), columns(y.dim(2)) {
    count = y.numel() / std::max<int64_t>(1, C);
  }
  /// First channel of pixel `tap` of square m.
  int64_t at(int64_t m, int64_t tap) const {
    return ((m / columns * k + tap / k) * width + m % columns * k + tap % k) * C;
  }
  int64_t k, width, C, columns, count;
};

}  // namespace

void avg_pool(const Tensor& x, int64_t k, Tensor& y) {
  const int64_t W = x.dim(2), C = x.dim(3), columns = y.dim(2),
                places = y.numel() / std::max<int64_t>(1, C);
  visit_float(x.dtype(), [&]<class T>(Type<T>) {
    using A = acc_t<T>;
    const T* px = x.data<T>();
    T* py = y.data<T>();
    const A scale = A(1) / static_cast<A>(k * k);
    for_each_row<A>(places, k * k * C, 2, [&](int64_t m, A* room) {
      const T* corner = px + (m / columns * k * W + m % columns * k) * C;
      A* __restrict total = room;
      std::fill(total, total + C, A(0));
      for (int64_t tap = 0; tap < k * k; ++tap) {
        const A* in = widen(corner + (tap / k * W + tap % k) * C, C, room + C);
        for (int64_t c = 0; c < C; ++c) total[c] += in[c];
      }
      for (int64_t c = 0; c < C; ++c) total[c] *= scale;
      convert(total, C, py + m * C);
    });
  });
}

void avg_pool_grad(const Tensor& g, int64_t k, Tensor& dx) {
  const int64_t W = dx.dim(2), C = dx.dim(3), columns = g.dim(2);
  if (dx.numel() == 0) return;
  visit_float(g.dtype(), [&]<class T>(Type<T>) {
    using A = acc_t<T>;
    const T* pg = g.data<T>();
    T* pd = dx.data<T>();
    const A scale = A(1) / static_cast<A>(k * k);
    for_each_row<A>(dx.numel() / C / W, W * C, 0, [&](int64_t line, A*) {
      for (int64_t x = 0; x < W; ++x)
        scale_row(pg + (line / k * columns + x / k) * C, C, scale, pd + (line * W + x) * C);
    });
  });
}

void max_pool(const Tensor& x, int64_t k, Tensor& y) {
  const Squares squares(x, y, k);
  const int64_t C = squares.C;
  visit_float(x.dtype(), [&]<class T>(Type<T>) {
    using A = acc_t<T>;
    const T* px = x.data<T>();
    T* py = y.data<T>();
    for_each_row<A>(squares.count, k * k * C, 2, [&](int64_t m, A* room) {
      A* __restrict top = room;
      convert(px + squares.at(m, 0), C, top);
      for (int64_t tap = 1; tap < k * k; ++tap) {
        const A* in = widen(px + squares.at(m, tap), C, room + C);
        for (int64_t c = 0; c < C; ++c) top[c] = MaxOrNan{}(top[c], in[c]);
      }
      convert(top, C, py + m * C);
    });
  });
}

void max_pool_grad(const Tensor& x, const Tensor& y, const Tensor& g, int64_t k, Tensor& dx) {
  const Squares squares(x, y, k);
  const int64_t C = squares.C;
  visit_float(x.dtype(), [&]<class T>(Type<T>) {
    using A = acc_t<T>;
    const T *px = x.data<T>(), *py = y.data<T>(), *pg = g.data<T>();
    T* pd = dx.data<T>();
    for_each_row<A>(squares.count, k * k * C, 1, [&](int64_t m, A* open) {
      std::fill(open, open + C, A(1));  // 0 once the channel's maximum was met
      for (int64_t tap = 0; tap < k * k; ++tap) {
        const int64_t at = squares.at(m, tap);
        for (int64_t c = 0; c < C; ++c) {
          const A v = px[at + c], top = py[m * C + c];
          const bool first = open[c] != 0 && (v == top || (v != v && top != top));
          pd[at + c] = first ? pg[m * C + c] : T(0);
          if (first) open[c] = 0;
        }
      }
    });
  });
}

}  // namespace diptych::cpu
