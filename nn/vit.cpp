// nn/vit.cpp — the image tower.
#include "nn/vit.h"

#include <cmath>

namespace diptych::nn {
namespace {

int64_t patch_count(int64_t image_size, const VitConfig& c) {
  check(c.patch_size > 0 && image_size > 0 && image_size % c.patch_size == 0, "vit: patch size ",
        c.patch_size, " must divide the image size, ", image_size);
  const int64_t side = image_size / c.patch_size;
  check(is_addressable({side, side, c.transformer.width}), "vit: ", side, " x ", side,
        " patches of width ", c.transformer.width, " are impossible");
  return side * side;
}

Init scaled_normal(int64_t width) {
  return Init::normal(1 / std::sqrt(static_cast<double>(width)));
}

}  // namespace

VisionTransformer::VisionTransformer(const VitConfig& c, const PictureShape& pictures,
                                     int64_t embed_dim)
    : pictures_(pictures),
      patch_size_(c.patch_size),
      pooling_(c.pooling),
      norm_after_pooling_(c.norm_after_pooling),
      conv1_weight_(parameter("conv1.weight",
                              {c.transformer.width, pictures.channels, c.patch_size, c.patch_size},
                              Init::fan_in(pictures.channels, c.patch_size))),
      class_embedding_(
          parameter("class_embedding", {c.transformer.width}, scaled_normal(c.transformer.width))),
      positional_embedding_(parameter("positional_embedding",
                                      {1 + patch_count(pictures.size, c), c.transformer.width},
                                      scaled_normal(c.transformer.width))),
      ln_pre_(c.pre_norm ? &child<LayerNorm>("ln_pre", c.transformer.width, c.transformer.eps)
                         : nullptr),
      transformer_(child<Transformer>("transformer", TransformerConfig{c.transformer})),
      ln_post_(child<LayerNorm>("ln_post", c.transformer.width, c.transformer.eps)),
      proj_(parameter("proj", {c.transformer.width, embed_dim},
                      scaled_normal(c.transformer.width))) {}

Tensor VisionTransformer::operator()(const Tensor& pixels) const {
  const int64_t R = pictures_.size, C = pictures_.channels, D = conv1_weight_.dim(0);
  check(pixels.rank() == 4 && pixels.shape() == Shape{pixels.dim(0), C, R, R},
        "vit: needs pixels (B, ", C, ", ", R, ", ", R, "), got ", pixels.shape());
  const int64_t B = pixels.dim(0);

  // A convolution whose stride is its kernel size is one product per patch.
  const Tensor kernel = reshape(in(conv1_weight_), {D, -1});
  Tensor x = linear(patches(cast(pixels, kernel.dtype()), patch_size_), kernel);  // (B, T-1, D)
  const int64_t T = x.dim(1) + 1;
  x = cat({expand(in(class_embedding_), {B, 1, D}), x}, 1) +
      in(positional_embedding_);  // (B, T, D)
  x = reshape(x, {B * T, D});
  if (ln_pre_) x = (*ln_pre_)(x);
  return matmul(pooled(x, Ragged::equal(B, T, x.device())), in(proj_));
}

void VisionTransformer::lock_but(int64_t unlocked) {
  const int64_t blocks = transformer_.size(), groups = blocks + 2;
  check(0 <= unlocked && unlocked <= groups, "lock: ", unlocked,
        " groups of the image tower shall stay unlocked, it has ", groups);
  lock(unlocked < groups);
  if (unlocked == groups) return;
  if (unlocked >= 1) track(proj_);
  if (unlocked >= 2) ln_post_.lock(false);
  transformer_.unlock_last(unlocked - 1);
}

Tensor VisionTransformer::pooled(const Tensor& x, const Ragged& layout) const {
  if (pooling_ == VisionPooling::token)
    return ln_post_(transformer_.pooled(x, layout, Pooling::first));
  const auto patch_mean = [B = layout.count(), T = layout.longest()](const Tensor& rows) {
    return mean(slice(reshape(rows, {B, T, rows.dim(1)}), 1, 1, T), 1);
  };
  const Tensor y = transformer_(x, layout);
  return norm_after_pooling_ ? ln_post_(patch_mean(y)) : patch_mean(ln_post_(y));
}

}  // namespace diptych::nn
