// cuda/batch.cuh — many arrays, of any sizes, in one launch.
#pragma once

#include <vector>

#include "cuda/launch.cuh"

namespace diptych::cuda {

/// What kernels are told about many arrays: for each an Item, which has their size `n`. A block of
/// threads takes one chunk, Item::kChunk elements or what is left, of one array. Passed by value as
/// a __grid_constant__: so nothing has to be copied to the device before, and every thread of a
/// warp reads the same entries.
template <class Item>
struct Batch {
  static constexpr int kMost = 31800 / static_cast<int>(sizeof(Item) + sizeof(int64_t));

  void append(const Item& one) {
    end[count] = blocks() + ceil_div(one.n, Item::kChunk);
    item[count++] = one;
  }
  int64_t blocks() const { return count == 0 ? 0 : end[count - 1]; }

  struct Place {
    int number;     ///< of the array
    int64_t first;  ///< element of the chunk
    int64_t last;   ///< behind the chunk
  };
  /// What a block works on: the first array whose chunks end behind that block.
  __device__ Place find(int64_t block) const {
    int low = 0, high = count - 1;
    while (low < high) {
      const int middle = (low + high) / 2;
      if (end[middle] > block) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    const int64_t first = (block - (low == 0 ? 0 : end[low - 1])) * Item::kChunk;
    const int64_t left = item[low].n - first;
    return {low, first, first + (left < Item::kChunk ? left : Item::kChunk)};
  }

  Item item[kMost];
  int64_t end[kMost];  ///< the sum of the chunks of arrays 0 … k
  int count = 0;
};

/// Calls f(batch) with as few batches as hold an Item(source) for every source, in order.
template <class Item, class Source, class F>
void for_each_batch(const std::vector<Source>& sources, const F& f) {
  Batch<Item> batch;
  for (const Source& source : sources) {
    if (batch.count == Batch<Item>::kMost) {
      f(batch);
      batch.count = 0;
    }
    batch.append(Item(source));
  }
  f(batch);
}

}  // namespace diptych::cuda
