// tensor/cpu/conv_panels.h — what the convolution and its gradients share: the result in panels,
// and 16-bit tensors as f32.
#pragma once

#include "tensor/cpu/conv_gather.h"
#include "tensor/cpu/gemm_split.h"
#include "tensor/cpu/pack.h"
#include "tensor/cpu/rows.h"
#include "tensor/cpu/scratch.h"

namespace diptych::cpu {

/// c (M, N) in panels: row panels of kTileRows, column panels of kTileColumns.
template <class A>
struct Panels {
  static constexpr int64_t kColumns = kTileColumns<A>;
  int64_t M, N;

  int64_t down() const { return ceil_div(M, kTileRows); }
  int64_t across() const { return ceil_div(N, kColumns); }
  int64_t rows(int64_t p) const { return std::min<int64_t>(kTileRows, M - p * kTileRows); }
  int64_t columns(int64_t q) const { return std::min(kColumns, N - q * kColumns); }
  int64_t vectors(int64_t q) const { return ceil_div(columns(q), kLanes<A>); }

  /// The tile of row panel p and column panel q in c.
  TileOut<A> tile(int64_t p, int64_t q, bool add, A* c) const {
    A* corner = c + p * kTileRows * N + q * kColumns;
    return {corner, N, nullptr, add ? corner : nullptr, columns(q) - (vectors(q) - 1) * kLanes<A>};
  }

  /// Calls f(row panels, column panels) for rectangles of panels that cover c, in parallel.
  template <class F>
  void in_parallel(int64_t depth, const F& f) const {
    for_each_part(Grid::even(useful_threads(M * N * depth), down(), across()), down(), across(), f);
  }
};

/// All values in the arithmetic type; 16-bit tensors are converted as a whole.
template <class T>
const acc_t<T>* wide(const Tensor& x, Scratch& room) {
  if constexpr (std::is_same_v<T, acc_t<T>>) {
    return x.data<T>();
  } else {
    return widen(x.data<T>(), x.numel(), room.get<acc_t<T>>(x.numel()));
  }
}

/// Calls f with memory for the result y in the arithmetic type, and narrows what it left there.
template <class T, class F>
void write_wide(Tensor& y, const F& f) {
  if constexpr (std::is_same_v<T, acc_t<T>>) {
    f(y.data<T>());
  } else {
    static thread_local Scratch room;
    auto* out = room.get<acc_t<T>>(y.numel());
    f(out);
    narrow(out, y.numel(), y.data<T>());
  }
}

/// A pixel of zeros, for what lies outside of a picture.
template <class A>
const A* zero_pixel(int64_t channels) {
  static thread_local Scratch room;
  A* zeros = room.get<A>(channels);
  std::fill(zeros, zeros + channels, A(0));
  return zeros;
}

inline int64_t taps_of(const Tensor& w) { return w.dim(1) * w.dim(2); }
inline int64_t pixels_of(const Tensor& x) { return x.dim(0) * x.dim(1) * x.dim(2); }

}  // namespace diptych::cpu
