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
                                     int64_t embed_dim, Activation activation, double eps)
    : pictures_(pictures),
      patch_size_(c.patch_size),
      conv1_weight_(parameter("conv1.weight",
                              {c.transformer.width, pictures.channels, c.patch_size, c.patch_size},
                              Init::fan_in(pictures.channels, c.patch_size))),
      class_embedding_(
          parameter("class_embedding", {c.transformer.width}, scaled_normal(c.transformer.width))),
      positional_embedding_(parameter("positional_embedding",
                                      {1 + patch_count(pictures.size, c), c.transformer.width},
                                      scaled_normal(c.transformer.width))),
      ln_pre_(child<LayerNorm>("ln_pre", c.transformer.width, eps)),
      transformer_(child<Transformer>(
          "transformer", TransformerConfig{c.transformer, /*causal=*/false, activation, eps})),
      ln_post_(child<LayerNorm>("ln_post", c.transformer.width, eps)),
      proj_(parameter("proj", {c.transformer.width, embed_dim},
                      scaled_normal(c.transformer.width))) {}

Tensor VisionTransformer::operator()(const Tensor& pixels) const {
  const int64_t R = pictures_.size, C = pictures_.channels, D = conv1_weight_.dim(0);
  check(pixels.rank() == 4 && pixels.shape() == Shape{pixels.dim(0), C, R, R},
        "vit: needs pixels (B, ", C, ", ", R, ", ", R, "), got ", pixels.shape());
  const int64_t B = pixels.dim(0);

  // A convolution whose stride is its kernel size is one product per patch.
  const Tensor kernel = reshape(conv1_weight_, {D, -1});
  Tensor x = linear(patches(pixels, patch_size_), kernel);  // (B, T-1, D)
  const int64_t T = x.dim(1) + 1;
  x = cat({expand(class_embedding_, {B, 1, D}), x}, 1) + positional_embedding_;  // (B, T, D)
  x = ln_pre_(reshape(x, {B * T, D}));
  const Ragged layout = Ragged::equal(B, T, x.device());
  return matmul(ln_post_(transformer_.pooled(x, layout, Pooling::first)), proj_);
}

}  // namespace diptych::nn
