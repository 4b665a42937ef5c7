// tensor/cpu/random.cpp — uniform and normal numbers, dropout: element i is a function of (seed,
// stream, i).
#include <algorithm>

#include "tensor/cpu/convert.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"
#include "tensor/philox.h"

namespace diptych::cpu {
namespace {

/// y[i] = draw(word 2i, word 2i + 1): a Philox block of four words makes two elements.
template <class Draw>
void generate(Seed seed, Tensor& y, const Draw& draw) {
  const int64_t n = y.numel();
  visit_float(y.dtype(), [&]<class T>(Type<T>) {
    T* out = y.data<T>();
    parallel_for((n + 1) / 2, 1024, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const auto w = Philox::at(seed.seed, seed.stream, static_cast<uint64_t>(i));
        out[2 * i] = cast<T>(draw(w[0], w[1]));
        if (2 * i + 1 < n) out[2 * i + 1] = cast<T>(draw(w[2], w[3]));
      }
    });
  });
}

}  // namespace

void uniform(Seed seed, double low, double high, Tensor& y) {
  generate(seed, y, [=](uint32_t a, uint32_t) { return low + (high - low) * to_unit(a); });
}

void normal(Seed seed, Tensor& y) {
  generate(seed, y, [](uint32_t a, uint32_t b) { return to_normal(a, b); });
}

void dropout(Seed seed, double rate, int64_t first, const Tensor& x, Tensor& y) {
  const int64_t n = x.numel(), skipped = first % 4;  // words of the first block
  visit_float(x.dtype(), [&]<class T>(Type<T>) {
    const T* in = x.data<T>();
    T* out = y.data<T>();
    const auto scale = static_cast<acc_t<T>>(1 / (1 - rate));
    parallel_for((skipped + n + 3) / 4, 1024, [&](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; ++block) {
        const auto words =
            Philox::at(seed.seed, seed.stream, static_cast<uint64_t>(first / 4 + block));
        const int64_t word0 = 4 * block - skipped;  // the element that has it
        for (int64_t i = std::max<int64_t>(0, word0); i < std::min(n, word0 + 4); ++i)
          out[i] = is_kept(words[static_cast<size_t>(i - word0)], rate)
                       ? cast<T>(static_cast<acc_t<T>>(in[i]) * scale)
                       : T(0);
      }
    });
  });
}

}  // namespace diptych::cpu
