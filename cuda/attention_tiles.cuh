// cuda/attention_tiles.cuh — the two ways to multiply tiles: PlainTiles for f32, f64 and heads of
// any width, MmaTiles for 16-bit heads of up to 128 columns. A block has one object of either, with
//   Tiles(shared, block, n)               for n pairs of operands of `dots`
//   keep(slot, a)                         own rows, for the dots of that number
//   dots(slot, b, b0, scores)             scores = a bᵀ with rows b0… of b
//   add_weighted(slot, w, b, b0, sums)    sums += w b for weights w (own rows, rows b0… of b)
//   write(x, rows, row, column)           a run of results, as far as there are such elements
// All threads call the first four together; each pair of operands has its slot.
#pragma once

#include "cuda/attention_mma.cuh"
#include "cuda/attention_plain.cuh"
#include "tensor/kernels.h"

namespace diptych::cuda {

/// Calls f(Type<Tiles>, Heads<T>, number of blocks) with the tiles that fit dtype and width. `all`:
/// the 16-bit tensors of the call, the packed sequences first.
template <class F>
void visit_tiles(std::initializer_list<Tensor> all, const Ragged& layout, int64_t heads,
                 bool causal, const F& f) {
  const Tensor& qkv = *all.begin();
  const int64_t D = qkv.dim(1) / 3, width = D / heads;
  check(layout.longest() <= 1 << 30, "attention: a sequence of ", layout.longest(), " rows");
  bool packed = width % 8 == 0;
  for (const Tensor& x : all) packed = packed && is_packed(static_cast<const char*>(x.raw()));
  visit_float(qkv.dtype(), [&]<class T>(Type<T>) {
    const auto call = [&]<class Tiles>(Type<Tiles>) {
      const int64_t tiles = ceil_div(layout.longest(), Tiles::kRows);
      const int64_t chunks = ceil_div(width, Tiles::kColumns);
      f(Type<Tiles>{},
        Heads<T>{qkv.data<T>(), layout.offsets().template data<int64_t>(), layout.rows(), D,
                 static_cast<unsigned>(heads), static_cast<unsigned>(tiles),
                 static_cast<unsigned>(chunks), static_cast<int>(width),
                 acc_t<T>(1) / std::sqrt(static_cast<acc_t<T>>(width)), causal, packed},
        layout.count() * heads * tiles * chunks);
    };
    if constexpr (sizeof(T) == 2) {
      if (width <= 64) return call(Type<MmaTiles<T, 64>>{});
      if (width <= 128) return call(Type<MmaTiles<T, 128>>{});
    }
    call(Type<PlainTiles<T>>{});
  });
}

}  // namespace diptych::cuda
