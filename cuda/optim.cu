// cuda/optim.cu — AdamW in one launch over all parameters, gradients and moments; stochastic
// rounding.
#include "cuda/batch.cuh"
#include "cuda/optim.cuh"
#include "tensor/adamw.h"

namespace diptych::cuda {
namespace {

/// A slot, of which a block takes a chunk.
template <class T>
struct Arrays : AdamWArrays<T> {
  static constexpr int64_t kChunk = 4096;
  Arrays() = default;
  explicit Arrays(const AdamWSlot& s) : AdamWArrays<T>(s), copy(s.copy) {}

  bool packed() const { return is_packed(this->g, this->m, this->v, this->p) && copy.packed(); }

  Copy copy;
};

/// One chunk of one slot. The gradients' norm is on the device: whether there is a step at all, and
/// how it is scaled, every thread finds out for itself.
template <class T>
__global__ void step_chunks(const __grid_constant__ Batch<Arrays<T>> batch, AdamWStep step,
                            AdamWConstants<T> constants, const double* squares, bool packed) {
  constexpr int S = Pack<T>::kSize;
  if (!std::isfinite(*squares)) return;
  const T scale = static_cast<T>(step.gradient_scale(std::sqrt(*squares)));
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
    if constexpr (std::is_same_v<T, float>) slot.copy.write(p, i, left, packed);
  }
}

template <class T>
void step_plain(const AdamWStep& step, const Tensor& squares, const std::vector<AdamWSlot>& slots) {
  bool packed = true;
  for (const AdamWSlot& s : slots) packed = packed && Arrays<T>(s).packed();
  for_each_batch<Arrays<T>>(slots, [&](const Batch<Arrays<T>>& batch) {
    launch("adamw_step", &step_chunks<T>, Grid{batch.blocks()}, batch, step,
           AdamWConstants<T>(step), squares.data<double>(), packed);
  });
}

/// Four elements a thread: as many as a block of random words is for.
template <class T>
__global__ void round_packs(Seed seed, const float* x, int64_t n, bool packed, T* y) {
  const int64_t i = 4 * thread_number();
  if (i >= n) return;
  const int64_t left = n - i;
  store(round_by_chance<T>(load<4>(x + i, left, packed), seed, i), left, packed, y + i);
}

}  // namespace

void adamw_step(const AdamWStep& step, const Tensor& squares, const std::vector<AdamWSlot>& slots,
                Tensor& vanished) {
  if (vanished.defined()) fill(0, vanished);
  if (slots.empty()) return;
  if (slots[0].p.dtype() == DType::f64) return step_plain<double>(step, squares, slots);
  std::vector<AdamWSlot> plain, others;
  for (const AdamWSlot& slot : slots) (is_plain(slot) ? plain : others).push_back(slot);
  step_plain<float>(step, squares, plain);
  if (!others.empty()) step_narrow(step, squares, others, vanished);
}

void round_stochastic(Seed seed, const Tensor& x, Tensor& y) {
  visit_float(y.dtype(), [&]<class T>(Type<T>) {
    if constexpr (sizeof(T) == 2) {
      const float* px = x.data<float>();
      T* py = y.data<T>();
      launch("round_stochastic", &round_packs<T>, grid_for(x.numel(), 4), seed, px, x.numel(),
             is_packed(px, py), py);
    }
  });
}

}  // namespace diptych::cuda
