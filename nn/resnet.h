// nn/resnet.h — the residual network (He et al., 2015) as CLIP modified it.
#pragma once

#include <array>

#include "nn/image_tower.h"
#include "nn/layers.h"

namespace diptych::nn {

struct ResNetConfig {
  int64_t width = 64;                            ///< of the stem; the last stage has 32 times that
  std::array<int64_t, 4> layers = {3, 4, 6, 3};  ///< blocks per stage
  int64_t heads = 32;                            ///< of the attention pool

  int64_t features() const { return 32 * width; }
};

/// 1 × 1, 3 × 3 and 1 × 1 convolutions beside a shortcut; four times as wide outside as inside.
/// Strides are averages before the convolutions ("anti-aliased"), in the shortcut too.
class Bottleneck : public Module {
 public:
  /// x (B, H, W, in) → (B, H / stride, W / stride, 4 · inside)
  Bottleneck(int64_t in, int64_t inside, int64_t stride);
  Tensor operator()(const Tensor& x) const;

 private:
  int64_t stride_;
  Conv2d& conv1_;
  BatchNorm2d& bn1_;
  Conv2d& conv2_;
  BatchNorm2d& bn2_;
  Conv2d& conv3_;
  BatchNorm2d& bn3_;
  // Present where stride or width change.
  Conv2d* shortcut_conv_ = nullptr;
  BatchNorm2d* shortcut_bn_ = nullptr;
};

/// Attention whose only query is the mean of all pixels, instead of a mean over the picture.
/// x (B, h, w, D) → (B, E)
class AttentionPool2d : public Module {
 public:
  /// D must be a multiple of heads; pixels = h w.
  AttentionPool2d(int64_t pixels, int64_t width, int64_t heads, int64_t embed_dim);
  Tensor operator()(const Tensor& x) const;

 private:
  int64_t heads_;
  Tensor positional_embedding_;  // (1 + h w, D), the mean first
  Linear &k_proj_, &q_proj_, &v_proj_, &c_proj_;
};

/// A stem of three convolutions and an average, four stages of bottlenecks, attention pooling.
/// Parameter names and numerics: openai/CLIP clip/model.py, ModifiedResNet.
class ModifiedResNet : public ImageTower {
 public:
  /// The pictures' size, R, must be a multiple of 32. embed_dim: E.
  ModifiedResNet(const ResNetConfig&, const PictureShape&, int64_t embed_dim);
  using ImageTower::operator();
  Tensor operator()(const Tensor& pixels, const Place& before) const override;
  void set_checkpointing(bool on) override { checkpointing_ = on; }
  void set_dropping(const Dropping&) override;  ///< nothing can be left out
  /// All or nothing, as in open_clip. Statistics of batch norms stay as they are.
  void lock_but(int64_t unlocked) override;

 private:
  std::vector<Bottleneck*> add_blocks(const ResNetConfig&);

  PictureShape pictures_;
  Conv2d& conv1_;
  BatchNorm2d& bn1_;
  Conv2d& conv2_;
  BatchNorm2d& bn2_;
  Conv2d& conv3_;
  BatchNorm2d& bn3_;
  std::vector<Bottleneck*> blocks_;
  AttentionPool2d& attnpool_;
  bool checkpointing_ = false;
};

}  // namespace diptych::nn
