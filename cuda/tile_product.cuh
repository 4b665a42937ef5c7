// cuda/tile_product.cuh — a product of two matrices whose numbers come from anywhere.
//
// A block of 256 threads computes a tile of 64 × 64 results. For 16 terms of their sums at a time
// it brings two tiles of 16 × 64 factors into shared memory, where each is read 16 times; a thread
// keeps 4 × 4 of the sums in registers.
//
// A side of the product is a class. Its lanes are the rows of the left factor or the columns of the
// right one, its terms are those of the sums:
//   Lane lane(int64_t i)       what holds for all of lane i, found once
//   Term term(int64_t k)       what holds for term k on all lanes
//   T at(Lane, Term)           the number where they meet
//   kAlongTerms                terms, not lanes, are neighbours in memory, and so are the threads
#pragma once

#include "cuda/launch.cuh"

namespace diptych::cuda {

constexpr int kTile = 64, kTerms = 16;            // results along each axis, terms at a time
constexpr int kSide = 16, kEach = kTile / kSide;  // threads along each axis, results of a thread

/// A thread's share in bringing a tile: kEach numbers, of one term or of one lane.
template <class Side>
class Loader {
 public:
  /// Lanes beyond the last are that one once more; nobody asks for their sums.
  __device__ Loader(const Side& side, int64_t first, int64_t lanes) : side_(side) {
    DIPTYCH_UNROLL
    for (int l = 0; l < kLanes; ++l) {
      const int64_t i = first + lane_in_tile(l);
      lane_[l] = side.lane(i < lanes ? i : lanes - 1);
    }
  }

  /// Terms from `end` on become 0.
  template <class A>
  __device__ void load(int64_t first, int64_t end, A (&tile)[kTerms][kTile + 1]) const {
    DIPTYCH_UNROLL
    for (int t = 0; t < kEach / kLanes; ++t) {
      const int64_t k = first + term_in_tile(t);
      const auto term = side_.term(k < end ? k : first);
      DIPTYCH_UNROLL
      for (int l = 0; l < kLanes; ++l)
        tile[term_in_tile(t)][lane_in_tile(l)] = k < end ? widen(side_.at(lane_[l], term)) : A(0);
    }
  }

 private:
  static constexpr int kLanes = Side::kAlongTerms ? kEach : 1;

  __device__ static int lane_in_tile(int l) {
    const int thread = static_cast<int>(threadIdx.x);
    return Side::kAlongTerms ? thread / kTerms + l * (kBlock / kTerms) : thread % kTile;
  }
  __device__ static int term_in_tile(int t) {
    const int thread = static_cast<int>(threadIdx.x);
    return Side::kAlongTerms ? thread % kTerms : thread / kTile + t * (kBlock / kTile);
  }

  const Side& side_;
  typename Side::Lane lane_[kLanes];
};

/// A product (M, N), sums over K terms, cut into parts of `depth`.
struct Extents {
  int64_t M, N, K, depth;
};

template <class A>
__device__ void multiply_tiles(const A (&left)[kTerms][kTile + 1],
                               const A (&right)[kTerms][kTile + 1], A (&sums)[kEach][kEach]) {
  const int x = static_cast<int>(threadIdx.x) % kSide, y = static_cast<int>(threadIdx.x) / kSide;
  DIPTYCH_UNROLL
  for (int k = 0; k < kTerms; ++k) {
    A a[kEach], b[kEach];
    DIPTYCH_UNROLL
    for (int i = 0; i < kEach; ++i) {
      a[i] = left[k][y + i * kSide];
      b[i] = right[k][x + i * kSide];
    }
    DIPTYCH_UNROLL
    for (int i = 0; i < kEach; ++i) {
      DIPTYCH_UNROLL
      for (int j = 0; j < kEach; ++j) sums[i][j] += a[i] * b[j];
    }
  }
}

/// Block (x, y, z) computes tile (x, y) of part z; c (parts, M, N).
template <class A, class Left, class Right>
__global__ void tile_product(Left left, Right right, Extents e, A* c) {
  DIPTYCH_SHARED(A[kTerms][kTile + 1], left_tile);
  DIPTYCH_SHARED(A[kTerms][kTile + 1], right_tile);
  const int64_t top = int64_t{blockIdx.x} * kTile, start = int64_t{blockIdx.y} * kTile;
  const Loader<Left> from_left(left, top, e.M);
  const Loader<Right> from_right(right, start, e.N);
  const int64_t first = int64_t{blockIdx.z} * e.depth;
  const int64_t end = first + e.depth < e.K ? first + e.depth : e.K;
  A sums[kEach][kEach] = {};
  for (int64_t k = first; k < end; k += kTerms) {
    from_left.load(k, end, left_tile);
    from_right.load(k, end, right_tile);
    __syncthreads();
    multiply_tiles(left_tile, right_tile, sums);
    __syncthreads();  // the next tiles go where these are
  }
  const int x = static_cast<int>(threadIdx.x) % kSide, y = static_cast<int>(threadIdx.x) / kSide;
  A* part = c + int64_t{blockIdx.z} * e.M * e.N;
  DIPTYCH_UNROLL
  for (int i = 0; i < kEach; ++i) {
    DIPTYCH_UNROLL
    for (int j = 0; j < kEach; ++j) {
      const int64_t row = top + y + i * kSide, column = start + x + j * kSide;
      if (row < e.M && column < e.N) part[row * e.N + column] = sums[i][j];
    }
  }
}

}  // namespace diptych::cuda
