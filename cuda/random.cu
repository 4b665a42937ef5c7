// cuda/random.cu — uniform and normal numbers, dropout: element i is a function of (seed, stream,
// i).
#include "cuda/launch.cuh"
#include "tensor/cast.h"
#include "tensor/kernels.h"
#include "tensor/philox.h"

namespace diptych::cuda {
namespace {

struct Uniform {
  double low, high;
  __device__ double operator()(uint32_t a, uint32_t) const {
    return low + (high - low) * to_unit(a);
  }
};
struct Normal {
  __device__ double operator()(uint32_t a, uint32_t b) const { return to_normal(a, b); }
};

/// y[i] = draw(word 2i, word 2i + 1): a Philox block of four words makes a thread's two elements.
template <class T, class Draw>
__global__ void generate(Seed seed, Draw draw, int64_t n, T* y) {
  const int64_t block = thread_number(), i = 2 * block;
  if (i >= n) return;
  const auto w = Philox::at(seed.seed, seed.stream, static_cast<uint64_t>(block));
  y[i] = cast<T>(draw(w[0], w[1]));
  if (i + 1 < n) y[i + 1] = cast<T>(draw(w[2], w[3]));
}

template <class Draw>
void start(const char* name, Seed seed, const Draw& draw, Tensor& y) {
  visit_float(y.dtype(), [&]<class T>(Type<T>) {
    launch(name, &generate<T, Draw>, grid_for(y.numel(), 2), seed, draw, y.numel(), y.data<T>());
  });
}

/// A Philox block of four words is for a thread's four elements; the first thread has none for the
/// words in front of `first`.
template <class T>
__global__ void drop(Seed seed, double rate, int64_t first, acc_t<T> scale, int64_t n, const T* x,
                     T* y) {
  const int64_t block = thread_number(), i = 4 * block - first % 4;
  if (i >= n) return;
  const auto words = Philox::at(seed.seed, seed.stream, static_cast<uint64_t>(first / 4 + block));
  DIPTYCH_UNROLL
  for (int j = 0; j < 4; ++j)
    if (i + j >= 0 && i + j < n)
      y[i + j] = is_kept(words[j], rate) ? narrow<T>(widen(x[i + j]) * scale) : narrow<T>(0);
}

}  // namespace

void uniform(Seed seed, double low, double high, Tensor& y) {
  start("uniform", seed, Uniform{low, high}, y);
}

void normal(Seed seed, Tensor& y) { start("normal", seed, Normal{}, y); }

void dropout(Seed seed, double rate, int64_t first, const Tensor& x, Tensor& y) {
  visit_float(x.dtype(), [&]<class T>(Type<T>) {
    launch("dropout", &drop<T>, grid_for(x.numel() + first % 4, 4), seed, rate, first,
           static_cast<acc_t<T>>(1 / (1 - rate)), x.numel(), x.data<T>(), y.data<T>());
  });
}

}  // namespace diptych::cuda
