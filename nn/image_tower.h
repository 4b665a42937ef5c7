// nn/image_tower.h — what every image encoder can do.
#pragma once

#include "nn/module.h"
#include "tensor/factory.h"

namespace diptych::nn {

/// Where each of B pictures begins among the rows of all, T each: 0, T, 2 T, …, B T. i64 (B+1)
inline Tensor equal_offsets(int64_t B, int64_t T, Device device) {
  std::vector<int64_t> offsets;
  for (int64_t b = 0; b <= B; ++b) offsets.push_back(b * T);
  return from_vector(offsets, {B + 1}).to(device);
}

/// From pictures to embeddings.
class ImageTower : public Module {
 public:
  /// pixels (B, C, R, R), normalised → (B, E), not of length one. Throws Error on another size.
  virtual Tensor operator()(const Tensor& pixels) const = 0;
  /// Recompute each block during backward instead of keeping its insides.
  virtual void set_checkpointing(bool on) = 0;
};

}  // namespace diptych::nn
