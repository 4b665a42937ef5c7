// tensor/cpu/copy.cpp — fill, arange, strided copies with conversion, axpy.
#include "tensor/cpu/convert.h"
#include "tensor/cpu/strided.h"
#include "tensor/kernels.h"

namespace diptych::cpu {
namespace {

constexpr int64_t kRun = 4096;

using Loop = StridedLoop<2>;

/// True if x is contiguous along another axis than y: a transposition.
bool is_transposition(const Loop& loop) {
  return loop.rank >= 2 && loop.stride[1][0] == 1 && loop.stride[0][0] != 1 &&
         loop.stride[0][1] == 1;
}

/// n elements with strides.
template <class From, class To>
void copy_run(const void* from, int64_t stride_x, int64_t n, void* to, int64_t stride_y) {
  const auto* x = static_cast<const From*>(from);
  auto* y = static_cast<To*>(to);
  if (stride_x == 1 && stride_y == 1) return convert(x, n, y);
  for (int64_t i = 0; i < n; ++i) y[i * stride_y] = cast<To>(x[i * stride_x]);
}

/// y[r stride_y + c] = x[r + c stride_x]
template <class From, class To>
void copy_tile(const void* from, int64_t stride_x, int64_t rows, int64_t cols, void* to,
               int64_t stride_y) {
  for (int64_t r = 0; r < rows; ++r) {
    const From* x = static_cast<const From*>(from) + r;
    To* y = static_cast<To*>(to) + r * stride_y;
    for (int64_t c = 0; c < cols; ++c) y[c] = cast<To>(x[c * stride_x]);
  }
}

/// What depends on both types of a copy; called through pointers.
struct Copier {
  decltype(&copy_run<float, float>) run;
  decltype(&copy_tile<float, float>) tile;
};

Copier copier(DType from, DType to) {
  return visit_all(from, [to]<class From>(Type<From>) {
    return visit_all(to, []<class To>(Type<To>) {
      return Copier{copy_run<From, To>, copy_tile<From, To>};
    });
  });
}

/// An array of elements of a size known at run time.
template <class Byte>
struct Bytes {
  Byte* at(int64_t i) const { return data + i * size; }
  Byte* data;
  int64_t size;
};
using Source = Bytes<const char>;
using Target = Bytes<char>;

/// Axes 0 and 1 of the loop in square tiles, so that each cache line of x is used whole while it
/// is there.
void transpose_tiles(const Loop& loop, const Copier& copier, const Source& x, const Target& y) {
  constexpr int64_t kTile = 16;
  const int64_t rows = loop.extent[1], cols = loop.extent[0];
  const int64_t bands = (rows + kTile - 1) / kTile;
  int64_t planes = 1;
  for (size_t axis = 2; axis < static_cast<size_t>(loop.rank); ++axis) planes *= loop.extent[axis];
  const int64_t grain = std::max<int64_t>(1, 16384 / std::max<int64_t>(1, kTile * cols));
  parallel_for(planes * bands, grain, [&](int64_t begin, int64_t end) {
    for (int64_t band = begin; band < end; ++band) {
      const int64_t row0 = band % bands * kTile, high = std::min(kTile, rows - row0);
      const auto at = loop.offsets(band / bands * rows + row0, 0);
      for (int64_t col0 = 0; col0 < cols; col0 += kTile) {
        copier.tile(x.at(at[0] + col0 * loop.stride[0][0]), loop.stride[0][0], high,
                    std::min(kTile, cols - col0), y.at(at[1] + col0), loop.stride[1][1]);
      }
    }
  });
}

}  // namespace

void fill(double value, Tensor& y) {
  const StridedLoop<1> loop(y.shape(), {y.strides()});
  visit_all(y.dtype(), [&]<class T>(Type<T>) {
    loop.for_each_run(kRun, [&, v = cast<T>(value), py = y.data<T>()](const auto& at, int64_t n) {
      T* out = py + at[0];
      const int64_t stride = loop.stride[0][0];
      if (stride == 1) {
        std::fill(out, out + n, v);
      } else {
        for (int64_t i = 0; i < n; ++i) out[i * stride] = v;
      }
    });
  });
}

void arange(Tensor& y) {
  visit_all(y.dtype(), [&]<class T>(Type<T>) {
    parallel_for(y.numel(), kRun, [py = y.data<T>()](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) py[i] = cast<T>(i);
    });
  });
}

void copy(const Tensor& x, Tensor& y) {
  const Loop loop(y.shape(), {x.strides(), y.strides()});
  const Copier copy = copier(x.dtype(), y.dtype());
  const Source from{static_cast<const char*>(x.raw()), size_of(x.dtype())};
  const Target to{static_cast<char*>(y.raw()), size_of(y.dtype())};
  if (is_transposition(loop)) return transpose_tiles(loop, copy, from, to);
  loop.for_each_run(kRun, [&](const Loop::Offsets& at, int64_t n) {
    copy.run(from.at(at[0]), loop.stride[0][0], n, to.at(at[1]), loop.stride[1][0]);
  });
}

void axpy(double alpha, const Tensor& x, Tensor& y) {
  visit_float(y.dtype(), [&]<class T>(Type<T>) {
    using A = acc_t<T>;
    constexpr int64_t kBlock = 1024;
    const T* px = x.data<T>();
    T* py = y.data<T>();
    parallel_for(y.numel(), 16 * kBlock, [&, a = static_cast<A>(alpha)](int64_t i, int64_t end) {
      alignas(64) A room_x[kBlock], room_y[kBlock];
      for (; i < end; i += kBlock) {
        const int64_t n = std::min(kBlock, end - i);
        const A* __restrict in = widen(px + i, n, room_x);
        A* __restrict out = landing(py + i, room_y);
        widen(py + i, n, room_y);
        for (int64_t j = 0; j < n; ++j) out[j] += a * in[j];
        narrow(out, n, py + i);
      }
    });
  });
}

}  // namespace diptych::cpu
