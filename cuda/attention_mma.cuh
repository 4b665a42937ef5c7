// cuda/attention_mma.cuh — products of tiles of 16-bit rows on tensor cores. Members: see
// attention_tiles.cuh.
#pragma once

#include "cuda/attention.cuh"
#include "cuda/mma.cuh"

namespace diptych::cuda {

/// Tiles of 64 own rows, 16 for each of 4 warps, against 32 rows of the other side, for heads of up
/// to kWidth columns, filled up with zeros to a multiple of 16.
///
/// Both operands of the instruction are read along the axis that is summed over, two elements at
/// once: so `dots` reads rows of b as they are, `add_weighted` columns of b, and stores it
/// transposed. The weights need no memory at all: the pairs of tiles of c that a lane holds are
/// what it has to hold of a. They are rounded to T: dS beyond 65504 becomes infinite in f16.
///
/// Rows are kWidth + 8 or 32 + 8 elements apart, which is 4 or 20 words modulo 32. A fragment is
/// read from word lane % 4 of row lane / 4, and so from 32 different banks.
///
/// Every operand has a buffer of its own, and between two uses of a buffer lies the barrier of
/// another product: so one barrier per product is enough.
template <class T, int kWidth>
class MmaTiles {
  static constexpr int kPitch = kWidth + 8, kStep = 16;

 public:
  static constexpr int kThreads = 128, kLanes = 4, kRun = 2;
  static constexpr int kRows = 64, kOther = 32, kColumns = kWidth;
  using Scores = float[2][kOther / 4];
  using Sums = float[2][kWidth / 4];
  __device__ static int row(int m) { return kStep * warp() + fragment_c(lane(), 2 * m).row; }
  __device__ static int column(int n) { return n / 2 * 8 + fragment_c(lane(), n % 2).column; }

 private:
  static constexpr int kOtherPitch = kOther + 8;
  static constexpr int kDots = (kRows + kOther) * kPitch, kSums = kWidth * kOtherPitch;

 public:
  /// Of shared memory for so many pairs of operands of dots and so many of add_weighted.
  static constexpr size_t shared_bytes(int dots, int sums) {
    return static_cast<size_t>(dots * kDots + sums * kSums) * sizeof(T);
  }

  __device__ MmaTiles(unsigned char* shared, const Block& b, int dots)
      : dots_(reinterpret_cast<T*>(shared)),
        sums_(dots_ + dots * kDots),
        start_(b.start),
        idle_(b.start + kStep * warp() >= b.tokens) {}

  /// Elements (row, column)… of `to`, as far as there are any.
  __device__ static void write(const float (&x)[kRun], const Rows<T>& to, int row, int column) {
    T* at = to.data + row * to.step + column;
    const Pair<T> pair{narrow<T>(x[0]), narrow<T>(x[1])};
    if (to.packed && column < to.width) *reinterpret_cast<Pair<T>*>(at) = pair;
    if (!to.packed && column < to.width) at[0] = pair.low;
    if (!to.packed && column + 1 < to.width) at[1] = pair.high;
  }

  /// Own rows for the dots of this number.
  __device__ void keep(int slot, const Rows<T>& a) {
    copy_rows<kRows>(a, start_, dots_ + slot * kDots);
  }

  /// s = a bᵀ: own rows and rows b0….
  __device__ void dots(int slot, const Rows<T>& b, int b0, Scores& s) {
    const T* own = dots_ + slot * kDots + kStep * warp() * kPitch;
    T* other = dots_ + slot * kDots + kRows * kPitch;
    copy_rows<kOther>(b, b0, other);
    for (auto& values : s)
      for (float& x : values) x = 0;
    __syncthreads();
    for (int k = 0; k < b.width && !idle_; k += kStep)
      multiply<kOther>(load_a(own + k, kPitch), other + k, kPitch, kOther, s);
  }

  /// sums += w b: weights of own rows × rows b0….
  __device__ void add_weighted(int slot, const Scores& w, const Rows<T>& b, int b0, Sums& sums) {
    T* other = sums_ + slot * kSums;
    copy_columns(b, b0, other);
    __syncthreads();
    DIPTYCH_UNROLL
    for (int k = 0; k < kOther; k += kStep)
      if (!idle_) multiply<kWidth>(weights(w, k / 4), other + k, kOtherPitch, b.width, sums);
  }

 private:
  /// Sixteen columns of weights, from w[][n] on, as the operand a, which has its elements 0, 1, 4,
  /// 5 in the lane's first row.
  __device__ static FragmentA<T> weights(const Scores& w, int n) {
    const auto pair = [&](int m, int i) {
      return Pair<T>{narrow<T>(w[m][n + i]), narrow<T>(w[m][n + i + 1])};
    };
    return {{pair(0, 0), pair(1, 0), pair(0, 2), pair(1, 2)}};
  }

  /// c += a b for kN columns of b, of which n are of interest: column j is at x + j * pitch.
  template <int kN>
  __device__ static void multiply(const FragmentA<T>& a, const T* x, int pitch, int n,
                                  float (&c)[2][kN / 4]) {
    DIPTYCH_UNROLL
    for (int j = 0; j < kN; j += 8)
      if (j < n) {
        const int at = j / 4;
        mma(a, load_b(x + j * pitch, pitch), c[0][at], c[0][at + 1], c[1][at], c[1][at + 1]);
      }
  }

  /// Columns c… of row r, or zeros.
  __device__ static Pack<T> read(const Rows<T>& x, int r, int c) {
    Pack<T> pack{};
    const T* from = x.data + int64_t{r} * x.step + c;
    if (r < x.count && x.packed && c < x.width) pack = *reinterpret_cast<const Pack<T>*>(from);
    if (r < x.count && !x.packed) {
      DIPTYCH_UNROLL
      for (int i = 0; i < Pack<T>::kSize; ++i)
        if (c + i < x.width) pack.at[i] = from[i];
    }
    return pack;
  }

  /// Rows r0… of x to rows in shared memory: successive lanes copy successive columns.
  template <int kCount>
  __device__ static void copy_rows(const Rows<T>& x, int r0, T* to) {
    constexpr int kPacks = kWidth / Pack<T>::kSize;
    for (int i = static_cast<int>(threadIdx.x); i < kCount * kPacks; i += kThreads) {
      const int r = i / kPacks, c = i % kPacks * Pack<T>::kSize;
      *reinterpret_cast<Pack<T>*>(to + r * kPitch + c) = read(x, r0 + r, c);
    }
  }

  /// The transpose of rows r0…. Successive lanes copy successive rows, for what they write then is
  /// in one row of the transpose, and in as few words as can be.
  __device__ static void copy_columns(const Rows<T>& x, int r0, T* to) {
    for (int i = static_cast<int>(threadIdx.x); i < kOther * kWidth / Pack<T>::kSize;
         i += kThreads) {
      const int r = i % kOther, c = i / kOther * Pack<T>::kSize;
      const Pack<T> pack = read(x, r0 + r, c);
      DIPTYCH_UNROLL
      for (int j = 0; j < Pack<T>::kSize; ++j) to[(c + j) * kOtherPitch + r] = pack.at[j];
    }
  }

  T *dots_, *sums_;
  int start_;
  bool idle_;  ///< all rows of this warp are behind the sequence
};

}  // namespace diptych::cuda
