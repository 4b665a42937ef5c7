// tensor/cpu/copy.cpp — fill, strided copies with conversion, axpy.
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

/// Axes 0 and 1 of the loop in square tiles, so that each cache line of x is used whole while it
/// is there.
template <class From, class To>
void transpose_tiles(const Loop& loop, const From* x, To* y) {
  constexpr int64_t kTile = 16;
  const int64_t rows = loop.extent[1], cols = loop.extent[0];
  const int64_t bands = (rows + kTile - 1) / kTile;
  int64_t planes = 1;
  for (size_t axis = 2; axis < static_cast<size_t>(loop.rank); ++axis) planes *= loop.extent[axis];
  const int64_t grain = std::max<int64_t>(1, 16384 / std::max<int64_t>(1, kTile * cols));
  parallel_for(planes * bands, grain, [&](int64_t begin, int64_t end) {
    for (int64_t band = begin; band < end; ++band) {
      const int64_t row0 = band % bands * kTile, row1 = std::min(rows, row0 + kTile);
      const auto at = loop.offsets(band / bands * rows, 0);
      for (int64_t col0 = 0; col0 < cols; col0 += kTile) {
        const int64_t col1 = std::min(cols, col0 + kTile);
        for (int64_t r = row0; r < row1; ++r) {
          To* out = y + at[1] + r * loop.stride[1][1];
          const From* in = x + at[0] + r;
          for (int64_t c = col0; c < col1; ++c) out[c] = cast<To>(in[c * loop.stride[0][0]]);
        }
      }
    }
  });
}

template <class From, class To>
void copy_run(const From* x, int64_t stride_x, int64_t n, To* y, int64_t stride_y) {
  if (stride_x == 1 && stride_y == 1) return convert(x, n, y);
  for (int64_t i = 0; i < n; ++i) y[i * stride_y] = cast<To>(x[i * stride_x]);
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

void copy(const Tensor& x, Tensor& y) {
  const Loop loop(y.shape(), {x.strides(), y.strides()});
  visit_all(x.dtype(), [&]<class From>(Type<From>) {
    visit_all(y.dtype(), [&]<class To>(Type<To>) {
      const From* px = x.data<From>();
      To* py = y.data<To>();
      if (is_transposition(loop)) return transpose_tiles(loop, px, py);
      loop.for_each_run(kRun, [&](const Loop::Offsets& at, int64_t n) {
        copy_run(px + at[0], loop.stride[0][0], n, py + at[1], loop.stride[1][0]);
      });
    });
  });
}

void axpy(double alpha, const Tensor& x, Tensor& y) {
  visit_float(y.dtype(), [&]<class T>(Type<T>) {
    using A = acc_t<T>;
    constexpr int64_t kBlock = 1024;
    const T* px = x.data<T>();
    T* py = y.data<T>();
    parallel_for(y.numel(), 16 * kBlock, [&, a = static_cast<A>(alpha)](int64_t i, int64_t end) {
      A room_x[kBlock], room_y[kBlock];
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
