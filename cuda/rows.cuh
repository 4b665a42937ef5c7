// cuda/rows.cuh — loops over the rows of matrices (N, D), dealt out to warps or to blocks.
//
// Up to 1,024 columns a warp takes a row, whose lanes combine by shuffles, without a barrier; a
// longer row takes a block. Neighbours in a warp access neighbours in memory, a pack of 16 bytes
// each, here four values:
//
//   thread  0 | 1 | 2 | … | 31 | 0 | 1 | …      column  0-3 | 4-7 | 8-11 | … | 124-127 | 128-131 …
//
// A warp that reads packs keeps its row in registers, 32 values a lane, so that memory is read
// once. Else every pass reads the row again: from the cache, where it still is. (Without packs the
// guards of 32 single loads would take 150 registers, and f64 twice what f32 takes.)
#pragma once

#include <limits>

#include "cuda/wide.cuh"

namespace diptych::cuda {

constexpr int64_t kWarpRow = 1024;  ///< columns that a warp takes, at most

/// The columns of one row that belong to this thread: packs of kPack. The row's threads are a warp
/// or a block, kThreads.
template <class A, int kThreads, int kPack>
class Share {
 public:
  static constexpr int kSize = kPack;
  static constexpr bool kHeld = kThreads == kWarp && kPack > 1;  ///< in registers
  static constexpr int kPacks = kHeld ? static_cast<int>(kWarpRow) / (kWarp * kPack) : 1;
  using Wide = Pack<A, kPack>;

  /// `room`: A[kBlock / kWarp], shared.
  __device__ Share(int64_t N, int64_t D, A* room)
      : exists_(number() < N),
        rank_(kThreads == kWarp ? lane() : static_cast<int>(threadIdx.x)),
        room_(room),
        row(exists_ ? number() : 0),
        width(exists_ ? D : 0) {}

  /// Whether this thread writes what there is one of per row.
  __device__ bool leads() const { return exists_ && rank_ == 0; }

  /// Calls f(number of the pack, its first column). The number is a constant where rows are held.
  template <class F>
  __device__ void each_pack(F f) const {
    if constexpr (kHeld) {
      DIPTYCH_UNROLL
      for (int k = 0; k < kPacks; ++k) {
        const int64_t column = (k * kWarp + rank_) * kPack;
        if (column < width) f(k, column);
      }
    } else {
      for (int64_t column = rank_ * kPack; column < width; column += kThreads * kPack) f(0, column);
    }
  }

  /// Calls f(x[j], …) for every column j of this thread. Rows: Row, EveryRow, Numbers.
  template <class F, class... Rows>
  __device__ void each(F f, const Rows&... rows) const {
    each_pack([&](int k, int64_t column) { each_of(f, rows.at(k, column)...); });
  }

  /// Σ f(x[j], …) over the row; every thread gets it, like `max` and `fold`.
  template <class F, class... Rows>
  __device__ A sum(F f, const Rows&... rows) const {
    A total(0);
    each([&](auto... x) { total += f(x...); }, rows...);
    return fold(total, Sum{});
  }

  /// Passes over NaN.
  template <class R>
  __device__ A max(const R& x) const {
    A most = -std::numeric_limits<A>::infinity();
    each([&](A v) { most = v > most ? v : most; }, x);
    return fold(most, Max{});
  }

  /// y[j] = f(x[j], …)
  template <class T, class F, class... Rows>
  __device__ void write(T* y, F f, const Rows&... rows) const {
    each_pack([&](int k, int64_t column) {
      store_narrow<T>(map<A>(f, rows.at(k, column)...), y + row * width + column);
    });
  }

  /// A value of each thread, combined over the threads of the row.
  template <class F>
  __device__ A fold(A x, F f) const {
    if constexpr (kThreads == kWarp) {
      return warp_fold(x, f);
    } else {
      return block_fold(x, f, room_);
    }
  }

 private:
  static __device__ int64_t number() {
    return kThreads == kWarp ? int64_t{blockIdx.x} * warps() + warp() : int64_t{blockIdx.x};
  }
  template <class F, class... V>
  static __device__ void each_of(F& f, const V&... v) {
    DIPTYCH_UNROLL
    for (int i = 0; i < kPack; ++i) f(v.at[i]...);
  }

  const bool exists_;
  const int rank_;
  A* const room_;

 public:
  /// Beyond the last row: row 0, of width 0, so that nothing is read or written, but all threads
  /// combine what they have.
  const int64_t row, width;
};

/// The share's row of x (N, D).
template <class T, class S>
class Row {
 public:
  __device__ Row(const T* x, const S& share) : x_(x + share.row * share.width) {
    if constexpr (S::kHeld)
      share.each_pack([&](int k, int64_t column) { held_[k] = load_wide<S::kSize>(x_ + column); });
  }
  __device__ typename S::Wide at(int k, int64_t column) const {
    if constexpr (S::kHeld) {
      return held_[k];
    } else {
      return load_wide<S::kSize>(x_ + column);
    }
  }

 private:
  const T* const x_;
  typename S::Wide held_[S::kPacks];
};

/// What all rows have in common: x (D).
template <class T, class S>
struct EveryRow {
  __device__ typename S::Wide at(int, int64_t column) const {
    return load_wide<S::kSize>(x + column);
  }
  const T* x;
};

/// The numbers of the columns, 0, 1, …
template <class S>
struct Numbers {
  __device__ Pack<int64_t, S::kSize> at(int, int64_t column) const {
    Pack<int64_t, S::kSize> j;
    DIPTYCH_UNROLL
    for (int i = 0; i < S::kSize; ++i) j.at[i] = column + i;
    return j;
  }
};

/// Calls f(Type<Share>, grid) with how N rows of D are dealt out; `arrays` are those of T that
/// threads read and write in packs.
template <class T, class F, class... Arrays>
void visit_share(int64_t N, int64_t D, const F& f, const Arrays*... arrays) {
  visit_pack<T>(
      D,
      [&]<int kPack>(std::integral_constant<int, kPack>) {
        if (D <= kWarpRow) {
          f(Type<Share<acc_t<T>, kWarp, kPack>>{}, Grid{ceil_div(N, kBlock / kWarp)});
        } else {
          f(Type<Share<acc_t<T>, kBlock, kPack>>{}, Grid{N});
        }
      },
      arrays...);
}

}  // namespace diptych::cuda
