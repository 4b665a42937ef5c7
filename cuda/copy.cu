// cuda/copy.cu — fill, arange, strided copies with conversion, axpy.
#include "cuda/strided.cuh"
#include "tensor/cast.h"
#include "tensor/kernels.h"

namespace diptych::cuda {
namespace {

/// y = value, S elements for each thread.
template <int S, class T>
__global__ void fill_all(const __grid_constant__ StridedLoop<1> loop, T value, T* y) {
  const int64_t i = thread_number() * S, left = loop.numel - i;
  if (left <= 0) return;
  const auto [at] = loop.offsets(i);
  store(splat<S>(value), left, true, y + at[0]);
}

/// y[i] = i
template <class T>
__global__ void count(int64_t n, T* y) {
  const int64_t i = thread_number();
  if (i < n) y[i] = cast<T>(i);
}

/// y = x, S elements for each thread. Neighbours in y are given to neighbouring threads, so that at
/// least what is written is written in whole lines.
template <int S, class From, class To>
__global__ void convert(const __grid_constant__ StridedLoop<2> loop, const From* x, To* y) {
  const int64_t i = thread_number() * S, left = loop.numel - i;
  if (left <= 0) return;
  const auto [at] = loop.offsets(i);
  const Pack<From, S> in = load_along<S>(x + at[0], loop.stride[0][0], left);
  Pack<To, S> out;
  DIPTYCH_UNROLL
  for (int j = 0; j < S; ++j) out.at[j] = cast<To>(in.at[j]);
  store(out, left, true, y + at[1]);
}

template <class From, class To>
void start_convert(const StridedLoop<2>& loop, const From* x, To* y) {
  constexpr int S = 16 / static_cast<int>(sizeof(From) > sizeof(To) ? sizeof(From) : sizeof(To));
  loop.is_packed<S>(x, y)
      ? launch("copy", &convert<S, From, To>, grid_for(loop.numel, S), loop, x, y)
      : launch("copy", &convert<1, From, To>, grid_for(loop.numel), loop, x, y);
}

// A transposition: neighbours along axis 1 are neighbours in x, and those along axis 0 in y. A
// block carries a square of 32 × 32 elements through shared memory, so that both are accessed in
// whole lines. The square's rows are 33 elements apart: 32 threads that read a column meet 32
// different banks.
constexpr int kTile = 32;

/// x and y as bits; `across`, `down`: squares along axes 0 and 1.
template <class Bits>
__global__ void transpose(const __grid_constant__ StridedLoop<2> loop, int64_t across, int64_t down,
                          const Bits* x, Bits* y) {
  DIPTYCH_SHARED(Bits[kTile][kTile + 1], tile);
  const int64_t cols = loop.extent[0], rows = loop.extent[1], block = blockIdx.x;
  const int64_t col = block % across * kTile, row = block / across % down * kTile;
  const auto [at] = loop.offsets((block / across / down * rows + row) * cols + col);
  for (int k = warp(); k < kTile; k += warps())
    if (row + lane() < rows && col + k < cols)
      tile[k][lane()] = x[at[0] + lane() + k * loop.stride[0][0]];
  __syncthreads();
  for (int k = warp(); k < kTile; k += warps())
    if (row + k < rows && col + lane() < cols)
      y[at[1] + lane() + k * loop.stride[1][1]] = tile[lane()][k];
}

template <class Bits>
void start_transpose(const StridedLoop<2>& loop, const Tensor& x, const Tensor& y) {
  const int64_t across = ceil_div(loop.extent[0], kTile), down = ceil_div(loop.extent[1], kTile);
  const int64_t planes = loop.numel / (loop.extent[0] * loop.extent[1]);
  launch("copy", &transpose<Bits>, Grid{across * down * planes}, loop, across, down,
         static_cast<const Bits*>(x.raw()), static_cast<Bits*>(y.raw()));
}

/// Brings the axis along which x is contiguous to place 1 of a loop with y's at place 0; false if
/// there is no such axis, or if one is too short for squares.
bool make_transposition(StridedLoop<2>& loop) {
  constexpr int64_t kShort = kTile / 2;
  if (loop.stride[1][0] != 1 || loop.stride[0][0] <= 1 || loop.extent[0] < kShort) return false;
  for (int axis = 1; axis < loop.rank; ++axis) {
    if (loop.stride[0][axis] != 1) continue;
    loop.swap_axes(axis, 1);
    return loop.extent[1] >= kShort;
  }
  return false;
}

/// y += alpha x
template <class T>
__global__ void add_scaled(acc_t<T> alpha, const T* x, int64_t n, bool packed, T* y) {
  constexpr int S = Pack<T>::kSize;
  const int64_t i = thread_number() * S, left = n - i;
  if (left <= 0) return;
  const Pack<T> in = load<S>(x + i, left, packed);
  Pack<T> v = load<S>(y + i, left, packed);
  DIPTYCH_UNROLL
  for (int j = 0; j < S; ++j) v.at[j] = narrow<T>(widen(v.at[j]) + alpha * widen(in.at[j]));
  store(v, left, packed, y + i);
}

}  // namespace

void fill(double value, Tensor& y) {
  const StridedLoop<1> loop(y.shape(), {y.strides()});
  visit_all(y.dtype(), [&]<class T>(Type<T>) {
    constexpr int S = Pack<T>::kSize;
    T* py = y.data<T>();
    loop.is_packed<S>(py)
        ? launch("fill", &fill_all<S, T>, grid_for(loop.numel, S), loop, cast<T>(value), py)
        : launch("fill", &fill_all<1, T>, grid_for(loop.numel), loop, cast<T>(value), py);
  });
}

void arange(Tensor& y) {
  visit_all(y.dtype(), [&]<class T>(Type<T>) {
    launch("arange", &count<T>, grid_for(y.numel()), y.numel(), y.data<T>());
  });
}

// A transposition that also converts is rare: it takes the plain way.
void copy(const Tensor& x, Tensor& y) {
  StridedLoop<2> loop(y.shape(), {x.strides(), y.strides()});
  if (x.dtype() == y.dtype() && make_transposition(loop)) {
    switch (size_of(x.dtype())) {
      case 1:
        return start_transpose<uint8_t>(loop, x, y);
      case 2:
        return start_transpose<uint16_t>(loop, x, y);
      case 4:
        return start_transpose<uint32_t>(loop, x, y);
      default:
        return start_transpose<uint64_t>(loop, x, y);
    }
  }
  visit_all(x.dtype(), [&]<class From>(Type<From>) {
    visit_all(y.dtype(),
              [&]<class To>(Type<To>) { start_convert(loop, x.data<From>(), y.data<To>()); });
  });
}

void axpy(double alpha, const Tensor& x, Tensor& y) {
  visit_float(y.dtype(), [&]<class T>(Type<T>) {
    const T* px = x.data<T>();
    T* py = y.data<T>();
    launch("axpy", &add_scaled<T>, grid_for(y.numel(), Pack<T>::kSize),
           static_cast<acc_t<T>>(alpha), px, y.numel(), is_packed(px, py), py);
  });
}

}  // namespace diptych::cuda
