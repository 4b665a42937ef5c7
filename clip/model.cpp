// clip/model.cpp — the two towers under OpenAI's names.
#include "clip/model.h"

#include <cmath>

namespace diptych {

nn::ImageTower& Clip::add_image_tower() {
  const ModelConfig& c = config_;
  const nn::PictureShape pictures{c.image_size(), c.channels()};
  if (const nn::ResNetConfig* resnet = c.resnet())
    return child<nn::ModifiedResNet>("visual", *resnet, pictures, c.embed_dim);
  return child<nn::VisionTransformer>("visual", *c.vit(), pictures, c.embed_dim);
}

Clip::Clip(const ModelConfig& c)
    : config_(c),
      visual_(add_image_tower()),
      text_(child<nn::TextTransformer>("", c.text, c.embed_dim)),  // its names have no prefix
      logit_scale_(parameter("logit_scale", {}, nn::Init::constant(std::log(1 / 0.07)),
                             {0, std::log(100)})) {}

void Clip::set_checkpointing(bool on) {
  visual_.set_checkpointing(on);
  text_.set_checkpointing(on);
}

}  // namespace diptych
