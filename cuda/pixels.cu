// cuda/pixels.cu — pictures as they were read become a model's: bytes to numbers, channels first.
#include "cuda/launch.cuh"
#include "tensor/kernels.h"

namespace diptych::cuda {
namespace {

/// A thread per pixel, for all C channels: what a warp reads is in one piece, and so is what it
/// writes of each channel. `area` is H W.
template <class T>
__global__ void look_up(const uint8_t* x, const T* table, int64_t pixels, int64_t area, int64_t C,
                        T* y) {
  const int64_t i = thread_number();
  if (i >= pixels) return;
  T* to = y + i / area * C * area + i % area;
  for (int64_t c = 0; c < C; ++c) to[c * area] = table[c * 256 + x[i * C + c]];
}

}  // namespace

void normalize_pixels(const Tensor& x, const Tensor& table, Tensor& y) {
  const int64_t area = x.dim(1) * x.dim(2), pixels = x.dim(0) * area;
  visit_float(y.dtype(), [&]<class T>(Type<T>) {
    launch("normalize_pixels", &look_up<T>, grid_for(pixels), x.data<uint8_t>(), table.data<T>(),
           pixels, area, x.dim(3), y.data<T>());
  });
}

}  // namespace diptych::cuda
