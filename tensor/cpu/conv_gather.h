// tensor/cpu/conv_gather.h — a convolution as a matrix product whose left factor is never built.
#pragma once

#include <algorithm>
#include <array>
#include <utility>

#include "tensor/cpu/gemm_micro.h"
#include "tensor/kernels.h"

namespace diptych::cpu {

/// Which pixels of `from` a window sees, or zeros where it hangs over the edge. Place (y, x) of a
/// grid `width` wide meets under tap (i, j) of the kernel
///   forward:   pixel (s y + i - padding, s x + j - padding)
///   backward:  pixel ((y + padding - i) / s, (x + padding - j) / s) where s divides both: that is
///              the place whose window shows (y, x) under its tap (i, j)
template <class A>
class Gather {
 public:
  /// from (B, H, W, C) beginning at `data`, to (B, H', W', …)
  Gather(const A* data, const A* zeros, const Shape& from, const Shape& to, int64_t kernel_width,
         const Window& window, bool backward)
      : data_(data),
        zeros_(zeros),
        height_(from[1]),
        width_(from[2]),
        channels_(from[3]),
        to_height_(to[1]),
        to_width_(to[2]),
        kernel_width_(kernel_width),
        stride_(backward ? 1 : window.stride),
        divisor_(backward ? window.stride : 1),
        sign_(backward ? -1 : 1),
        origin_(backward ? window.padding : -window.padding) {}

  int64_t channels() const { return channels_; }

  /// out[t][r] = the pixel that place `place + r` (row-major over B, H', W') meets under tap
  /// `tap + t`.
  void fill(int64_t place, int64_t places, int64_t tap, int64_t taps, const A** out) const {
    for (int64_t r = 0; r < places;) {
      const int64_t x = (place + r) % to_width_, line = (place + r) / to_width_;
      const int64_t run = std::min(places - r, to_width_ - x);
      for (int64_t t = 0; t < taps; ++t)
        fill_run(line, x, run, (tap + t) / kernel_width_, (tap + t) % kernel_width_,
                 out + t * places + r);
      r += run;
    }
  }

 private:
  /// The coordinate met along one axis, -1 if there is none.
  int64_t met(int64_t place, int64_t tap, int64_t extent) const {
    int64_t at = stride_ * place + sign_ * tap + origin_;
    if (divisor_ != 1) {
      if (at % divisor_ != 0) return -1;
      at /= divisor_;
    }
    return at < extent ? at : -1;  // below zero is below zero
  }

  void fill_run(int64_t line, int64_t x, int64_t run, int64_t i, int64_t j, const A** out) const {
    const int64_t y = met(line % to_height_, i, height_);
    const A* row = y < 0 ? nullptr : data_ + (line / to_height_ * height_ + y) * width_ * channels_;
    for (int64_t r = 0; r < run; ++r) {
      const int64_t at = met(x + r, j, width_);
      out[r] = y < 0 || at < 0 ? zeros_ : row + at * channels_;
    }
  }

  const A *data_, *zeros_;
  int64_t height_, width_, channels_, to_height_, to_width_, kernel_width_;
  int64_t stride_, divisor_, sign_, origin_;
};

/// tile_product with rows of a wherever they are: rows (taps, R) points at `depth` values each, and
/// b is (taps × depth, V vectors). An indirection instead of a copy (Dukhan, "The indirect
/// convolution algorithm", 2019).
template <class T, int R, int V>
void gathered_product(int64_t taps, int64_t depth, const T* const* rows, int64_t offset, const T* b,
                      const TileOut<T>& out) {
  vec<T> sum[R][V] = {};
  for (int64_t t = 0; t < taps; ++t, rows += R) {
    const T* a[R];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) a[r] = rows[r] + offset;
    for (int64_t k = 0; k < depth; ++k, b += V * kLanes<T>) {
      vec<T> column[V];
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) column[v] = load(b + v * kLanes<T>);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const T x = a[r][k];
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) sum[r][v] += x * column[v];
      }
    }
  }
  store_tile<T, R, V>(sum, out);
}

template <class T>
using GatheredProduct = void (*)(int64_t taps, int64_t depth, const T* const* rows, int64_t offset,
                                 const T* b, const TileOut<T>& out);

namespace detail {
template <class T, int... I>
constexpr auto gathered_products(std::integer_sequence<int, I...>) {
  return std::array<GatheredProduct<T>, sizeof...(I)>{
      &gathered_product<T, I / kTileVectors + 1, I % kTileVectors + 1>...};
}
}  // namespace detail

template <class T>
inline GatheredProduct<T> gathered_product_of(int64_t rows, int64_t vectors) {
  static constexpr auto kTable =
      detail::gathered_products<T>(std::make_integer_sequence<int, kTileRows * kTileVectors>{});
  return kTable[static_cast<size_t>((rows - 1) * kTileVectors + vectors - 1)];
}

}  // namespace diptych::cpu
