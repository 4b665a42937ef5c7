// nn/image_tower.h — what every image encoder can do.
#pragma once

#include "nn/dropping.h"
#include "nn/module.h"

namespace diptych::nn {

/// The pictures that a tower takes: (C, R, R).
struct PictureShape {
  int64_t size = 224;    ///< R, pixels
  int64_t channels = 3;  ///< C
};

/// From pictures to embeddings.
class ImageTower : public Module {
 public:
  /// pixels (B, C, R, R), normalised → (B, E), not of length one. They may be a part of a batch,
  /// behind what `before` says. Throws Error on another size.
  virtual Tensor operator()(const Tensor& pixels, const Place& before) const = 0;
  Tensor operator()(const Tensor& pixels) const { return (*this)(pixels, Place{}); }
  /// Recompute each block during backward instead of keeping its insides.
  virtual void set_checkpointing(bool on) = 0;
  /// What is left out in training from now on. Throws Error if the tower cannot.
  virtual void set_dropping(const Dropping&) = 0;
  /// lock(), but for the last `unlocked` of the groups that open_clip's
  /// --lock-image-unlocked-groups counts. Throws Error if there are not that many.
  virtual void lock_but(int64_t unlocked) = 0;
};

}  // namespace diptych::nn
