// clip/model.cpp — the two towers under OpenAI's names.
#include "clip/model.h"

#include <cmath>

#include "nn/text_cbow.h"
#include "nn/text_transformer.h"

namespace diptych {
namespace {

// 16-bit features as f32.
Tensor wide(const Tensor& features) {
  return size_of(features.dtype()) < 4 ? cast(features, DType::f32) : features;
}

// What would become infinite; bf16 ends just below f32.
void check_range(const nn::Module::Entry& entry, DType dtype) {
  if (size_of(dtype) != 2 || entry.tensor.numel() == 0) return;
  const NoGrad no_grad;
  const double most = max(abs(reshape(entry.tensor, {-1})), 0).item();
  const double limit = dtype == DType::f16 ? 65504 : 0x1.fep127;
  check(!(most > limit), "precision: ", entry.name, " holds ", most, ", ", dtype, " ends at ",
        limit, "; choose ", dtype == DType::f16 ? "bf16" : "f32");
}

}  // namespace

nn::ImageTower* Clip::add_image_tower() {
  const ModelConfig& c = config_;
  if (!c.has_image()) return nullptr;
  const nn::PictureShape pictures{c.image_size(), c.channels()};
  if (const nn::ResNetConfig* resnet = c.resnet())
    return &child<nn::ModifiedResNet>("visual", *resnet, pictures, c.embed_dim);
  return &child<nn::VisionTransformer>("visual", *c.vit(), pictures, c.embed_dim);
}

// Its names have no prefix.
nn::TextTower* Clip::add_text_tower() {
  const ModelConfig& c = config_;
  if (!c.has_text()) return nullptr;
  if (c.text.type == nn::TextType::cbow) return &child<nn::CbowText>("", c.text, c.embed_dim);
  return &child<nn::TextTransformer>("", c.text, c.embed_dim);
}

Clip::Clip(const ModelConfig& c)
    : config_(c),
      visual_(add_image_tower()),
      text_(add_text_tower()),
      logit_scale_(parameter("logit_scale", {},
                             nn::Init::constant(std::log(c.logit_bias ? 10 : 1 / 0.07)),
                             {0, std::log(100)})) {
  if (c.logit_bias) logit_bias_ = parameter("logit_bias", {}, nn::Init::constant(kFirstLogitBias));
}

// Without a history where nothing is to be trained.
Tensor Clip::encode_image(const Tensor& pixels, const nn::Place& before) const {
  check(visual_ != nullptr, "encode_image: the model has no image tower");
  const GradMode mode(GradMode::enabled() && trains_image());
  return wide((*visual_)(pixels, before));
}

Tensor Clip::encode_text(const Captions& captions, const nn::Place& before) const {
  check(text_ != nullptr, "encode_text: the model has no text tower");
  const GradMode mode(GradMode::enabled() && trains_text());
  return wide((*text_)(captions.tokens, captions.layout, before));
}

void Clip::set_dropping(double rate, double patches, uint64_t seed, int64_t step) {
  const auto of = [&](const char* tower) {
    return Seed{seed, mix(nn::stream_of(tower), static_cast<uint64_t>(step))};
  };
  if (visual_ && image_trained_)
    visual_->set_dropping({rate, patches, of("dropout of the image tower")});
  if (text_) text_->set_dropping({rate, 0, of("dropout of the text tower")});
}

void Clip::lock_image(int64_t unlocked_groups) {
  check(visual_ != nullptr, "lock: the model has no image tower");
  visual_->lock_but(unlocked_groups);
  image_trained_ = unlocked_groups > 0;
}

void Clip::lock_text() {
  check(text_ != nullptr, "lock: the model has no text tower");
  text_->lock();
}

bool Clip::trains_text() const { return text_ && !text_->locked(); }

void Clip::use(const PrecisionConfig& c) {
  const DType compute = diptych::compute_dtype(c.precision);
  for (const Entry& entry : named_parameters()) check_range(entry, compute);
  if (text_)
    for (const Entry& entry : text_->named_parameters()) check_range(entry, text_dtype(c));
  const Tensor scale = logit_scale_.clone(),
               bias = logit_bias_.defined() ? logit_bias_.clone() : Tensor();
  to(parameter_dtype(c.precision));
  move_leaf(logit_scale_, scale);
  if (bias.defined()) move_leaf(logit_bias_, bias);
  if (text_) text_->matrices_to(text_dtype(c));
  compute_in(compute);
  precision_ = c;
}

void Clip::set_checkpointing(bool on) {
  if (visual_) visual_->set_checkpointing(on);
  if (text_) text_->set_checkpointing(on);
}

}  // namespace diptych
