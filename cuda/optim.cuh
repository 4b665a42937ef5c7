// cuda/optim.cuh — what AdamW's kernels for f32 and for 16 bits have in common.
#pragma once

#include <vector>

#include "cuda/packs.cuh"
#include "cuda/wide.cuh"
#include "tensor/kernels.h"
#include "tensor/rounding.h"

namespace diptych::cuda {

/// The step of slots that are not plain: see is_plain(). Adds up in `vanished`, which is 0 before
/// or undefined.
void step_narrow(const AdamWStep& step, const Tensor& squares, const std::vector<AdamWSlot>& slots,
                 Tensor& vanished);

/// A slot's copy, in one 16-bit type or the other; both are null if it has none.
struct Copy {
  Copy() = default;
  explicit Copy(const Tensor& x)
      : as_f16(x.defined() && x.dtype() == DType::f16 ? x.data<f16>() : nullptr),
        as_bf16(x.defined() && x.dtype() == DType::bf16 ? x.data<bf16>() : nullptr) {}

  bool packed() const { return is_packed(as_f16, as_bf16); }

  /// Elements i, i + 1, … become p rounded to nearest, the first `left` of them.
  template <int S>
  __device__ void write(const Pack<float, S>& p, int64_t i, int64_t left, bool packed) const {
    if (as_f16) store(map<f16>([](float x) { return f16(x); }, p), left, packed, as_f16 + i);
    if (as_bf16) store(map<bf16>([](float x) { return bf16(x); }, p), left, packed, as_bf16 + i);
  }

  f16* as_f16;
  bf16* as_bf16;
};

/// Words i … i + 3 of a Philox sequence: a block of four if i is a multiple of that, else the end
/// of one and the beginning of the next.
__device__ inline Pack<uint32_t> four_words(Seed seed, int64_t i) {
  const auto block = static_cast<uint64_t>(i / 4);
  const Philox::Block a = Philox::at(seed.seed, seed.stream, block);
  Pack<uint32_t> words{{a[0], a[1], a[2], a[3]}};
  if (i % 4 == 0) return words;
  Philox::Block b = Philox::at(seed.seed, seed.stream, block + 1);
  for (int64_t passed = i % 4; passed > 0; --passed) {  // no index that varies: it is in registers
    words = {{words.at[1], words.at[2], words.at[3], b[0]}};
    b = {b[1], b[2], b[3], 0};
  }
  return words;
}

/// Elements i … i + 3 of an array, rounded by chance: each takes the word of its number.
template <class T>
__device__ Pack<T, 4> round_by_chance(const Pack<float>& x, Seed seed, int64_t i) {
  return map<T>([](float v, uint32_t word) { return diptych::round_stochastic<T>(v, word); }, x,
                four_words(seed, i));
}

}  // namespace diptych::cuda
