// cuda/optim.cu — AdamW in one launch over all parameters, gradients and moments.
#include "cuda/batch.cuh"
#include "cuda/packs.cuh"
#include "tensor/adamw.h"

namespace diptych::cuda {
namespace {

/// A slot, of which a block takes a chunk.
template <class T>
struct Arrays : AdamWArrays<T> {
  static constexpr int64_t kChunk = 4096;
  using AdamWArrays<T>::AdamWArrays;
};

/// One chunk of one slot. The gradients' norm is on the device: whether there is a step at all, and
/// how it is scaled, every thread finds out for itself.
template <class T>
__global__ void step_chunks(const __grid_constant__ Batch<Arrays<T>> batch, AdamWStep step,
                            AdamWConstants<T> constants, const double* squares, bool packed) {
  constexpr int S = Pack<T>::kSize;
  if (!std::isfinite(*squares)) return;
  const T scale = static_cast<T>(step.clip_scale(std::sqrt(*squares)));
  const auto [number, first, last] = batch.find(blockIdx.x);
  const Arrays<T> slot = batch.item[number];
  const AdamWUpdate<T> update(constants, scale, slot);
  for (int64_t i = first + int64_t{threadIdx.x} * S; i < last; i += kBlock * S) {
    const int64_t left = last - i;
    const Pack<T> g = load<S>(slot.g + i, left, packed);
    Pack<T> m = load<S>(slot.m + i, left, packed), v = load<S>(slot.v + i, left, packed),
            p = load<S>(slot.p + i, left, packed);
    DIPTYCH_UNROLL
    for (int j = 0; j < S; ++j) update(g.at[j], m.at[j], v.at[j], p.at[j]);
    store(m, left, packed, slot.m + i);
    store(v, left, packed, slot.v + i);
    store(p, left, packed, slot.p + i);
  }
}

template <class T>
void step_all(const AdamWStep& step, const Tensor& squares, const std::vector<AdamWSlot>& slots) {
  bool packed = true;
  for (const AdamWSlot& s : slots)
    packed = packed && is_packed(s.g.data<T>(), s.m.data<T>(), s.v.data<T>(), s.p.data<T>());
  for_each_batch<Arrays<T>>(slots, [&](const Batch<Arrays<T>>& batch) {
    launch("adamw_step", &step_chunks<T>, Grid{batch.blocks()}, batch, step,
           AdamWConstants<T>(step), squares.data<double>(), packed);
  });
}

}  // namespace

void adamw_step(const AdamWStep& step, const Tensor& squares, const std::vector<AdamWSlot>& slots) {
  if (slots.empty()) return;
  slots[0].p.dtype() == DType::f64 ? step_all<double>(step, squares, slots)
                                   : step_all<float>(step, squares, slots);
}

}  // namespace diptych::cuda
