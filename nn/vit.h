// nn/vit.h — the Vision Transformer (Dosovitskiy et al., 2021) as CLIP uses it.
#pragma once

#include "nn/image_tower.h"
#include "nn/transformer.h"

namespace diptych::nn {

struct VitConfig {
  int64_t patch_size = 32;  ///< p, must divide the size of the pictures, R
  TransformerSize transformer{.width = 768, .heads = 12};
};

/// Patches and a class token, learned positions, a norm before and after the blocks, a projection
/// of the class token. Parameter names and numerics: openai/CLIP clip/model.py, VisionTransformer.
class VisionTransformer : public ImageTower {
 public:
  /// embed_dim: E; activation and eps, of the layer norms, as in TransformerConfig.
  VisionTransformer(const VitConfig&, const PictureShape&, int64_t embed_dim, Activation,
                    double eps);
  Tensor operator()(const Tensor& pixels) const override;
  void set_checkpointing(bool on) override { transformer_.checkpointing = on; }

 private:
  PictureShape pictures_;
  int64_t patch_size_;
  Tensor conv1_weight_;          // (D, C, p, p)
  Tensor class_embedding_;       // (D)
  Tensor positional_embedding_;  // (1 + (R/p)², D)
  LayerNorm& ln_pre_;
  Transformer& transformer_;
  LayerNorm& ln_post_;
  Tensor proj_;  // (D, E)
};

}  // namespace diptych::nn
