// cuda/mma.cuh — the one tensor-core instruction that Diptych uses, and, but for two conversions in
// half.h, the only PTX: a warp multiplies a (16, 16) by b (16, 8) of 16-bit elements and adds the
// product to c (16, 8) of f32.
//
// How the three lie in the registers of the lanes is stated by the PTX ISA, 9.7.14.5.8, "Matrix
// Fragments for mma.m16n8k16 with floating point type". With groupID = lane / 4 and
// threadID_in_group = lane % 4, a lane holds a0 … a7, b0 … b3 and c0 … c3:
//   a_i  row     groupID,                       + 8 for i = 2, 3, 6, 7
//        column  2 threadID_in_group + i % 2,   + 8 for i ≥ 4
//   b_i  row     2 threadID_in_group + i % 2,   + 8 for i ≥ 2
//        column  groupID
//   c_i  row     groupID,                       + 8 for i ≥ 2
//        column  2 threadID_in_group + i % 2
// Two successive a or b share a register, the first in its low half.
//
// Kernels and emulator share the three functions below, so a misreading would stay unseen. They are
// therefore compared with another statement of the same layouts: those of CUTLASS, as strides.
#pragma once

#include "cuda/launch.cuh"

namespace diptych::cuda {

/// An element of a matrix: the one that lane `lane` holds as its i-th.
struct Element {
  int row, column;
  bool operator==(const Element&) const = default;
};
DIPTYCH_HD constexpr Element fragment_a(int lane, int i) {
  return {lane / 4 + i / 2 % 2 * 8, lane % 4 * 2 + i % 2 + i / 4 * 8};
}
DIPTYCH_HD constexpr Element fragment_b(int lane, int i) {
  return {lane % 4 * 2 + i % 2 + i / 2 * 8, lane / 4};
}
DIPTYCH_HD constexpr Element fragment_c(int lane, int i) {
  return {lane / 4 + i / 2 * 8, lane % 4 * 2 + i % 2};
}

/// Whether those are the layouts in cute/atom/mma_traits_sm80.hpp, SM80_16x8x16_F16F16F16F16_TN:
/// offsets into a (M, K), b (N, K) and c (M, N), the first axis fastest, of shapes
///   ((4, 8), (2, 2, 2)) : ((32, 1), (16, 8, 128)),  ((4, 8), (2, 2)) : ((16, 1), (8, 64))  and
///   ((4, 8), (2, 2)) : ((32, 1), (16, 8)) over ((lane % 4, lane / 4), (bits of i)).
constexpr bool as_cutlass_has_them() {
  for (int lane = 0; lane < kWarp; ++lane)
    for (int i = 0; i < 8; ++i) {
      const int x = lane % 4, y = lane / 4, i0 = i % 2, i1 = i / 2 % 2, i2 = i / 4;
      const int a = 32 * x + y + 16 * i0 + 8 * i1 + 128 * i2;
      const int b = 16 * x + y + 8 * i0 + 64 * i1, c = 32 * x + y + 16 * i0 + 8 * i1;
      if (fragment_a(lane, i) != Element{a % 16, a / 16}) return false;
      if (i < 4 && fragment_b(lane, i) != Element{b / 8, b % 8}) return false;
      if (i < 4 && fragment_c(lane, i) != Element{c % 16, c / 16}) return false;
    }
  return true;
}
static_assert(as_cutlass_has_them());

/// Two elements of 16 bits, which are read at once.
template <class T>
struct alignas(4) Pair {
  T low, high;
};

/// What a lane holds of a, and of b.
template <class T>
struct FragmentA {
  Pair<T> at[4];
};
template <class T>
struct FragmentB {
  Pair<T> at[2];
};

/// a from rows in shared memory, `pitch` elements apart: element (i, k) is x[i * pitch + k].
template <class T>
__device__ FragmentA<T> load_a(const T* x, int pitch) {
  FragmentA<T> a;
  DIPTYCH_UNROLL
  for (int i = 0; i < 4; ++i) {
    const Element e = fragment_a(lane(), 2 * i);
    a.at[i] = *reinterpret_cast<const Pair<T>*>(x + e.row * pitch + e.column);
  }
  return a;
}

/// b from the rows of its transpose: element (k, j) is x[j * pitch + k].
template <class T>
__device__ FragmentB<T> load_b(const T* x, int pitch) {
  FragmentB<T> b;
  DIPTYCH_UNROLL
  for (int i = 0; i < 2; ++i) {
    const Element e = fragment_b(lane(), 2 * i);
    b.at[i] = *reinterpret_cast<const Pair<T>*>(x + e.column * pitch + e.row);
  }
  return b;
}

#if defined(DIPTYCH_EMULATED)

/// What one lane brings to mma() and takes from it.
template <class T>
struct Operands {
  FragmentA<T> a;
  FragmentB<T> b;
  float c[4];
};

/// The instruction, for all lanes of a warp.
template <class T>
void multiply(Operands<T>* const* lanes) {
  float a[16][16], b[16][8];
  const auto half = [](const Pair<T>& x, int i) { return widen(i % 2 == 0 ? x.low : x.high); };
  for (int l = 0; l < kWarp; ++l) {
    for (int i = 0; i < 8; ++i)
      a[fragment_a(l, i).row][fragment_a(l, i).column] = half(lanes[l]->a.at[i / 2], i);
    for (int i = 0; i < 4; ++i)
      b[fragment_b(l, i).row][fragment_b(l, i).column] = half(lanes[l]->b.at[i / 2], i);
  }
  for (int l = 0; l < kWarp; ++l)
    for (int i = 0; i < 4; ++i) {
      const Element at = fragment_c(l, i);
      float sum = 0;
      for (int k = 0; k < 16; ++k) sum += a[at.row][k] * b[k][at.column];
      lanes[l]->c[i] += sum;
    }
}

/// c += a b; c0, c1 in the lane's first row, c2, c3 in its second. All lanes of the warp call it.
template <class T>
void mma(const FragmentA<T>& a, const FragmentB<T>& b, float& c0, float& c1, float& c2, float& c3,
         emu::Where where = emu::Where::current()) {
  Operands<T> mine{a, b, {c0, c1, c2, c3}};
  emu::collective(
      "mma.sync", kAllLanes, mine, [](Operands<T>* const* lanes) { multiply(lanes); }, where);
  c0 = mine.c[0], c1 = mine.c[1], c2 = mine.c[2], c3 = mine.c[3];
}

#else

/// c += a b; c0, c1 in the lane's first row, c2, c3 in its second. All lanes of the warp call it.
template <class T>
__device__ void mma(const FragmentA<T>& a, const FragmentB<T>& b, float& c0, float& c1, float& c2,
                    float& c3) {
  const auto bits = [](const Pair<T>& x) { return std::bit_cast<uint32_t>(x); };
#define DIPTYCH_MMA(type)                                                               \
  asm("mma.sync.aligned.m16n8k16.row.col.f32." type "." type                            \
      ".f32 "                                                                           \
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"                 \
      : "+f"(c0), "+f"(c1), "+f"(c2), "+f"(c3)                                          \
      : "r"(bits(a.at[0])), "r"(bits(a.at[1])), "r"(bits(a.at[2])), "r"(bits(a.at[3])), \
        "r"(bits(b.at[0])), "r"(bits(b.at[1])))
  if constexpr (std::is_same_v<T, bf16>) {
    DIPTYCH_MMA("bf16");
  } else {
    DIPTYCH_MMA("f16");
  }
#undef DIPTYCH_MMA
}

#endif

}  // namespace diptych::cuda
