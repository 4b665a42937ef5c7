// nn/resnet.cpp — the modified residual network. Pictures inside have their channels last.
#include "nn/resnet.h"

#include <cmath>

namespace diptych::nn {
namespace {

constexpr int64_t kExpansion = 4;

// openai/CLIP clip/model.py, CLIP.initialize_parameters: projections of the pool by their width,
// biases at PyTorch's default.
Linear::Options pool_init(int64_t width) {
  return {Init::normal(1 / std::sqrt(static_cast<double>(width))), Init::fan_in(width)};
}

const PictureShape& checked(const PictureShape& pictures, const ResNetConfig& c) {
  check(pictures.size > 0 && pictures.size % 32 == 0, "resnet: the image size, ", pictures.size,
        ", must be a multiple of 32");
  check(c.width > 0 && c.width % 2 == 0, "resnet: the width, ", c.width, ", must be even");
  return pictures;
}

// Pixels of the last stage: each is 32 × 32 of the picture's.
int64_t pixels_pooled(int64_t image_size) { return image_size / 32 * (image_size / 32); }

// (B, C, H, W) → (B, H, W, C)
Tensor channels_last(const Tensor& x) { return transpose(transpose(x, 1, 2), 2, 3); }

}  // namespace

Bottleneck::Bottleneck(int64_t in, int64_t inside, int64_t stride)
    : stride_(stride),
      conv1_(child<Conv2d>("conv1", in, inside, 1)),
      bn1_(child<BatchNorm2d>("bn1", inside)),
      conv2_(child<Conv2d>("conv2", inside, inside, 3, 1, 1)),
      bn2_(child<BatchNorm2d>("bn2", inside)),
      conv3_(child<Conv2d>("conv3", inside, kExpansion * inside, 1)),
      // Zero: at first a block is its shortcut.
      bn3_(child<BatchNorm2d>("bn3", kExpansion * inside, Init::constant(0))) {
  if (stride == 1 && in == kExpansion * inside) return;
  shortcut_conv_ = &child<Conv2d>("downsample.0", in, kExpansion * inside, 1);
  shortcut_bn_ = &child<BatchNorm2d>("downsample.1", kExpansion * inside);
}

Tensor Bottleneck::operator()(const Tensor& x) const {
  const auto shrink = [this](const Tensor& t) { return stride_ > 1 ? avg_pool(t, stride_) : t; };
  Tensor y = bn1_(conv1_(x), true);
  y = shrink(bn2_(conv2_(y), true));
  y = bn3_(conv3_(y));
  const Tensor shortcut = shortcut_conv_ ? (*shortcut_bn_)((*shortcut_conv_)(shrink(x))) : x;
  return relu(y + shortcut);
}

AttentionPool2d::AttentionPool2d(int64_t pixels, int64_t width, int64_t heads, int64_t embed_dim)
    : heads_(heads),
      positional_embedding_(parameter("positional_embedding", {1 + pixels, width},
                                      Init::normal(1 / std::sqrt(static_cast<double>(width))))),
      k_proj_(child<Linear>("k_proj", width, width, pool_init(width))),
      q_proj_(child<Linear>("q_proj", width, width, pool_init(width))),
      v_proj_(child<Linear>("v_proj", width, width, pool_init(width))),
      c_proj_(child<Linear>("c_proj", width, embed_dim, pool_init(width))) {
  check(heads > 0 && width % heads == 0, "resnet: width ", width,
        " of the attention pool must be a multiple of its heads, ", heads);
}

Tensor AttentionPool2d::operator()(const Tensor& x) const {
  const int64_t B = x.dim(0), T = 1 + x.dim(1) * x.dim(2), D = x.dim(3);
  const Tensor pixels = reshape(x, {B, T - 1, D}), average = mean(pixels, 1, true);
  const Tensor tokens = cat({average, pixels}, 1) + in(positional_embedding_);
  const Tensor q = q_proj_(reshape(slice(tokens, 1, 0, 1), {B, D})),
               rows = reshape(tokens, {B * T, D});
  const Tensor kv = cat({k_proj_(rows), v_proj_(rows)}, 1);
  return c_proj_(attention_pool(q, kv, Ragged::equal(B, T, x.device()), heads_));
}

ModifiedResNet::ModifiedResNet(const ResNetConfig& c, const PictureShape& pictures,
                               int64_t embed_dim)
    : pictures_(checked(pictures, c)),
      conv1_(child<Conv2d>("conv1", pictures.channels, c.width / 2, 3, 2, 1)),
      bn1_(child<BatchNorm2d>("bn1", c.width / 2)),
      conv2_(child<Conv2d>("conv2", c.width / 2, c.width / 2, 3, 1, 1)),
      bn2_(child<BatchNorm2d>("bn2", c.width / 2)),
      conv3_(child<Conv2d>("conv3", c.width / 2, c.width, 3, 1, 1)),
      bn3_(child<BatchNorm2d>("bn3", c.width)),
      blocks_(add_blocks(c)),
      attnpool_(child<AttentionPool2d>("attnpool", pixels_pooled(pictures.size), c.features(),
                                       c.heads, embed_dim)) {}

std::vector<Bottleneck*> ModifiedResNet::add_blocks(const ResNetConfig& c) {
  std::vector<Bottleneck*> blocks;
  int64_t in = c.width;
  for (size_t stage = 0; stage < c.layers.size(); ++stage) {
    const int64_t inside = c.width << stage;
    for (int64_t i = 0; i < c.layers[stage]; ++i) {
      const std::string name = "layer" + std::to_string(stage + 1) + '.' + std::to_string(i);
      const int64_t stride = stage > 0 && i == 0 ? 2 : 1;
      blocks.push_back(&child<Bottleneck>(name, in, inside, stride));
      in = kExpansion * inside;
    }
  }
  return blocks;
}

Tensor ModifiedResNet::operator()(const Tensor& pixels, const Place&) const {
  const int64_t R = pictures_.size, C = pictures_.channels;
  check(pixels.rank() == 4 && pixels.shape() == Shape{pixels.dim(0), C, R, R},
        "resnet: needs pixels (B, ", C, ", ", R, ", ", R, "), got ", pixels.shape());
  Tensor x = bn1_(conv1_(channels_last(cast(pixels, conv1_.dtype()))), true);
  x = bn2_(conv2_(x), true);
  x = avg_pool(bn3_(conv3_(x), true), 2);
  for (const Bottleneck* block : blocks_) {
    const auto run = [block](const Tensor& in) { return (*block)(in); };
    x = checkpointing_ && GradMode::enabled() ? checkpoint(run, x) : run(x);
  }
  return attnpool_(x);
}

void ModifiedResNet::set_dropping(const Dropping& d) {
  check(!d.any(), "dropout: a ResNet leaves nothing out; it is regularised by its batch norms");
}

void ModifiedResNet::lock_but(int64_t unlocked) {
  check(unlocked == 0, "lock: a ResNet is locked as a whole, ", unlocked,
        " groups cannot stay unlocked");
  lock();
}

}  // namespace diptych::nn
