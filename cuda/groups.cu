// cuda/groups.cu — a stable radix sort: positions ordered by their values, digit by digit from the
// lowest, each pass keeping the order of the one before among equals.
//
// A pass over digits of 8 bits takes three kernels:
//   1. blocks count how often each digit occurs in their tile of positions;
//   2. one block adds up: elements before (digit, tile) = all of smaller digits, and those of the
//      same digit in earlier tiles;
//   3. blocks move their elements there, each behind those of the same digit that come before it.
// That an element comes before another depends on where they are, never on which thread is faster:
// warps own stretches of a tile, and the lanes of a warp compare their digits by votes.
#include <utility>

#include "cuda/groups.cuh"

namespace diptych::cuda {
namespace {

constexpr int kBits = 8, kDigits = 1 << kBits;  // a thread of the block for each digit
constexpr int kRounds = 8, kStretch = kRounds * kWarp, kTile = kStretch * kBlock / kWarp;
static_assert(kDigits == kBlock);

/// For every warp and digit: how many elements, or where the next of them goes.
using Counts = int64_t[kBlock / kWarp][kDigits];

/// Values with their positions.
struct Elements {
  int64_t *value, *order;
};

/// The lanes whose element has this one's digit; none for a lane without an element.
__device__ unsigned lanes_alike(int digit, bool there) {
  unsigned alike = __ballot_sync(kAllLanes, there);
  for (int bit = 0; bit < kBits; ++bit) {
    const bool set = digit >> bit & 1;
    const unsigned votes = __ballot_sync(kAllLanes, set);
    alike &= set ? votes : ~votes;
  }
  return there ? alike : 0;
}

/// Calls f(i, counts[warp][digit of i] + earlier elements with that digit in this round) along the
/// stretch of this warp, and counts.
template <class F>
__device__ void count_stretch(const int64_t* value, int64_t N, int shift, Counts& counts, F f) {
  const int64_t begin = int64_t{blockIdx.x} * kTile + warp() * kStretch + lane();
  for (int64_t i = begin; i < begin + kStretch; i += kWarp) {
    const bool there = i < N;
    const int digit = there ? static_cast<int>(value[i] >> shift & (kDigits - 1)) : 0;
    const unsigned alike = lanes_alike(digit, there);
    const int earlier = __popc(alike & ((1u << lane()) - 1));
    if (there) f(i, counts[warp()][digit] + earlier);
    __syncwarp();
    if (there && earlier == 0) counts[warp()][digit] += __popc(alike);
    __syncwarp();
  }
}

/// Counts the tile, with a barrier before and behind.
__device__ void count_tile(const int64_t* value, int64_t N, int shift, Counts& counts) {
  for (int w = 0; w < warps(); ++w) counts[w][threadIdx.x] = 0;
  __syncthreads();
  count_stretch(value, N, shift, counts, [](int64_t, int64_t) {});
  __syncthreads();
}

/// counts[tile][digit]
__global__ void count_digits(Elements of, int64_t N, int shift, int64_t* counts) {
  DIPTYCH_SHARED(Counts, own);
  count_tile(of.value, N, shift, own);
  int64_t total = 0;
  for (int w = 0; w < warps(); ++w) total += own[w][threadIdx.x];
  counts[int64_t{blockIdx.x} * kDigits + threadIdx.x] = total;
}

/// What x of the threads before this one adds up to; `room`: one element per thread, shared.
__device__ int64_t sum_before(int64_t x, int64_t* room) {
  const int t = static_cast<int>(threadIdx.x);
  room[t] = x;
  for (int step = 1; step < kBlock; step *= 2) {
    __syncthreads();
    const int64_t more = t >= step ? room[t - step] : 0;
    __syncthreads();
    room[t] += more;
  }
  return room[t] - x;
}

/// counts[tile][digit] become places: one block, a thread for each digit.
__global__ void place_digits(int64_t* counts, int64_t tiles) {
  DIPTYCH_SHARED(int64_t[kBlock], room);
  int64_t total = 0;
  for (int64_t k = 0; k < tiles; ++k) total += counts[k * kDigits + threadIdx.x];
  int64_t place = sum_before(total, room);
  for (int64_t k = 0; k < tiles; ++k) {
    const int64_t count = counts[k * kDigits + threadIdx.x];
    counts[k * kDigits + threadIdx.x] = place;
    place += count;
  }
}

__global__ void move_elements(Elements from, Elements to, int64_t N, int shift,
                              const int64_t* places) {
  DIPTYCH_SHARED(Counts, next);
  count_tile(from.value, N, shift, next);
  int64_t place = places[int64_t{blockIdx.x} * kDigits + threadIdx.x];
  for (int w = 0; w < warps(); ++w) {
    const int64_t count = next[w][threadIdx.x];
    next[w][threadIdx.x] = place;
    place += count;
  }
  __syncthreads();
  count_stretch(from.value, N, shift, next, [=](int64_t i, int64_t at) {
    to.value[at] = from.value[i];
    to.order[at] = from.order[i];
  });
}

__global__ void number_elements(const int64_t* index, int64_t N, int64_t V, Indexed op, Elements to,
                                IndexReport* report) {
  const int64_t i = thread_number();
  if (i >= N) return;
  to.value[i] = in_range(index[i], V, op, report) ? index[i] : V;
  to.order[i] = i;
}

/// first[v] = the first k with value[k] ≥ v, by halving
__global__ void find_groups(const int64_t* value, int64_t N, int64_t V, int64_t* first) {
  const int64_t v = thread_number();
  if (v > V) return;
  int64_t low = 0, high = N;
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    (value[middle] < v ? low : high) = value[middle] < v ? middle + 1 : middle;
  }
  first[v] = low;
}

}  // namespace

Groups::Groups(const char* name, const Tensor& index, int64_t V, Indexed op)
    : order(empty_like(index)),
      value(empty_like(index)),
      first(empty({V + 1}, DType::i64, Device::cuda)) {
  const int64_t N = index.numel(), tiles = ceil_div(N, kTile);
  Tensor next_order = empty_like(order), next_value = empty_like(value);
  const Tensor counts = empty({tiles, kDigits}, DType::i64, Device::cuda);
  const auto elements = [](const Tensor& v, const Tensor& o) {
    return Elements{v.data<int64_t>(), o.data<int64_t>()};
  };
  int64_t* pc = counts.data<int64_t>();
  launch(name, number_elements, grid_for(N), index.data<int64_t>(), N, V, op,
         elements(value, order), index_report());
  for (int shift = 0; N > 0 && V >> shift > 0; shift += kBits) {
    const Elements from = elements(value, order), to = elements(next_value, next_order);
    launch(name, count_digits, Grid{tiles}, from, N, shift, pc);
    launch(name, place_digits, Grid{1}, pc, tiles);
    launch(name, move_elements, Grid{tiles}, from, to, N, shift, pc);
    std::swap(value, next_value);
    std::swap(order, next_order);
  }
  launch(name, find_groups, grid_for(V + 1), value.data<int64_t>(), N, V, first.data<int64_t>());
}

}  // namespace diptych::cuda
