// nn/vit.cpp — the image tower.
#include "nn/vit.h"

#include <cmath>

namespace diptych::nn {
namespace {

int64_t patch_count(const VitConfig& c) {
  check(c.patch_size > 0 && c.image_size > 0 && c.image_size % c.patch_size == 0,
        "vit: patch size ", c.patch_size, " must divide the image size, ", c.image_size);
  const int64_t side = c.image_size / c.patch_size;
  return side * side;
}

Init scaled_normal(int64_t width) {
  return Init::normal(1 / std::sqrt(static_cast<double>(width)));
}

}  // namespace

VisionTransformer::VisionTransformer(const VitConfig& c)
    : config_(c),
      conv1_weight_(parameter("conv1.weight",
                              {c.transformer.width, c.channels, c.patch_size, c.patch_size},
                              Init::fan_in(c.channels * c.patch_size * c.patch_size))),
      class_embedding_(
          parameter("class_embedding", {c.transformer.width}, scaled_normal(c.transformer.width))),
      positional_embedding_(parameter("positional_embedding",
                                      {1 + patch_count(c), c.transformer.width},
                                      scaled_normal(c.transformer.width))),
      ln_pre_(child<LayerNorm>("ln_pre", c.transformer.width, c.transformer.eps)),
      transformer_(child<Transformer>("transformer", c.transformer)),
      ln_post_(child<LayerNorm>("ln_post", c.transformer.width, c.transformer.eps)),
      proj_(parameter("proj", {c.transformer.width, c.embed_dim},
                      scaled_normal(c.transformer.width))) {}

Tensor VisionTransformer::operator()(const Tensor& pixels) const {
  const int64_t R = config_.image_size, D = config_.transformer.width;
  check(pixels.rank() == 4 && pixels.shape() == Shape{pixels.dim(0), config_.channels, R, R},
        "vit: needs pixels (B, ", config_.channels, ", ", R, ", ", R, "), got ", pixels.shape());
  const int64_t B = pixels.dim(0);

  // A convolution whose stride is its kernel size is one product per patch.
  const Tensor kernel = reshape(conv1_weight_, {D, -1});
  Tensor x = linear(patches(pixels, config_.patch_size), kernel);  // (B, T-1, D)
  const int64_t T = x.dim(1) + 1;
  x = cat({expand(class_embedding_, {B, 1, D}), x}, 1) + positional_embedding_;  // (B, T, D)
  x = ln_pre_(reshape(x, {B * T, D}));
  const Ragged layout = Ragged::equal(B, T, x.device());
  return matmul(ln_post_(transformer_.pooled(x, layout, Pooling::first)), proj_);
}

}  // namespace diptych::nn
