// nn/vit.h — the Vision Transformer (Dosovitskiy et al., 2021) as CLIP uses it.
#pragma once

#include "nn/image_tower.h"
#include "nn/transformer.h"

namespace diptych::nn {

/// What of the last block's output is projected.
enum class VisionPooling : uint8_t {
  token,    ///< the class token (OpenAI)
  average,  ///< the mean of the patches, without the class token
};

struct VitConfig {
  int64_t patch_size = 32;  ///< p, must divide the size of the pictures, R
  TowerConfig transformer{.width = 768, .heads = 12};
  bool pre_norm = true;  ///< a layer norm before the blocks; CLIPA has none
  VisionPooling pooling = VisionPooling::token;
  bool norm_after_pooling = true;  ///< of an average: ln_post of the mean, or the mean of ln_post
};

/// Patches and a class token, learned positions, a norm before and after the blocks, a projection
/// of what is pooled. Parameter names and numerics: openai/CLIP clip/model.py, VisionTransformer;
/// what OpenAI's does not have: open_clip transformer.py, VisionTransformer.
class VisionTransformer : public ImageTower {
 public:
  VisionTransformer(const VitConfig&, const PictureShape&, int64_t embed_dim);  ///< embed_dim: E
  using ImageTower::operator();
  Tensor operator()(const Tensor& pixels, const Place& before) const override;
  void set_checkpointing(bool on) override { transformer_.checkpointing = on; }
  void set_dropping(const Dropping& d) override { transformer_.dropping = d; }
  /// From the end: the projection; the last block with ln_post; each block before; and all that
  /// comes before the blocks (open_clip transformer.py, VisionTransformer.lock).
  void lock_but(int64_t unlocked) override;

 private:
  /// x (B, T, D) → rows (B T', D) of the class token and the patches that are not left out.
  Tensor kept(const Tensor& x, const Place& before) const;
  /// x (B T, D) → (B, D), normalised.
  Tensor pooled(const Tensor& x, const Ragged& layout, const Place& before) const;

  PictureShape pictures_;
  int64_t patch_size_;
  VisionPooling pooling_;
  bool norm_after_pooling_;
  Tensor conv1_weight_;          // (D, C, p, p)
  Tensor class_embedding_;       // (D)
  Tensor positional_embedding_;  // (1 + (R/p)², D)
  LayerNorm* ln_pre_;            // null without
  Transformer& transformer_;
  LayerNorm& ln_post_;
  Tensor proj_;  // (D, E)
};

}  // namespace diptych::nn
