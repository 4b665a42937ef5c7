// nn/vit.cpp — the image tower.
#include "nn/vit.h"

#include <algorithm>
#include <cmath>
#include <numeric>

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

// Rows of the class tokens and of the patches that stay, picture by picture, in order.
std::vector<int64_t> kept_rows(int64_t B, int64_t T, const Dropping& drop) {
  constexpr int64_t kPlace = -1;  // none of a block
  const int64_t n = T - 1;
  const auto stay =
      std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(n) * (1 - drop.patches)));
  std::vector<int64_t> rows;
  for (int64_t b = 0; b < B; ++b) {
    PhiloxStream random(
        drop.at(kPlace).seed,
        mix(drop.at(kPlace).stream, static_cast<uint64_t>(drop.before.sequences + b)));
    std::vector<int64_t> order(static_cast<size_t>(n));
    std::iota(order.begin(), order.end(), b * T + 1);
    for (int64_t i = 0; i < stay; ++i)
      std::swap(order[static_cast<size_t>(i)], order[static_cast<size_t>(i + random.below(n - i))]);
    std::sort(order.begin(), order.begin() + stay);
    rows.push_back(b * T);
    rows.insert(rows.end(), order.begin(), order.begin() + stay);
  }
  return rows;
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

Tensor VisionTransformer::operator()(const Tensor& pixels, const Place& before) const {
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
  x = kept(x, before);
  if (ln_pre_) x = (*ln_pre_)(x);
  const int64_t rows = B ? x.dim(0) / B : T;
  return matmul(
      pooled(x, Ragged::equal(B, rows, x.device()), {before.sequences, before.sequences * rows}),
      in(proj_));
}

// As open_clip's PatchDropout (Li et al., 2023, "Scaling language-image pre-training via masking"):
// of every picture as many stay.
Tensor VisionTransformer::kept(const Tensor& x, const Place& before) const {
  const int64_t B = x.dim(0), T = x.dim(1);
  const Tensor rows = reshape(x, {B * T, x.dim(2)});
  const Dropping drop = transformer_.dropping.behind(before);
  if (!transformer_.learns() || drop.patches <= 0) return rows;
  const std::vector<int64_t> all = kept_rows(B, T, drop);
  return gather_rows(rows, from_vector(all, {static_cast<int64_t>(all.size())}).to(x.device()));
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

Tensor VisionTransformer::pooled(const Tensor& x, const Ragged& layout, const Place& before) const {
  if (pooling_ == VisionPooling::token)
    return ln_post_(transformer_.pooled(x, layout, Pooling::first, before));
  const auto patch_mean = [B = layout.count(), T = layout.longest()](const Tensor& rows) {
    return mean(slice(reshape(rows, {B, T, rows.dim(1)}), 1, 1, T), 1);
  };
  const Tensor y = transformer_(x, layout, before);
  return norm_after_pooling_ ? ln_post_(patch_mean(y)) : patch_mean(ln_post_(y));
}

}  // namespace diptych::nn
