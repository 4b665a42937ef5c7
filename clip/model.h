// clip/model.h — CLIP: two towers and a temperature.
#pragma once

#include "clip/config.h"
#include "clip/precision.h"
#include "data/text/captions.h"
#include "nn/dropping.h"

namespace diptych {

constexpr double kFirstLogitBias = -10;  ///< where training begins

/// Contrastive language-image pre-training (Radford et al., 2021). Parameter names are OpenAI's.
/// Asked for the features of a tower that the configuration leaves out, it throws Error.
class Clip : public nn::Module {
 public:
  explicit Clip(const ModelConfig&);

  /// pixels (B, C, R, R), normalised → (B, E), not normalised; at least f32, in which the loss is
  /// computed. A part of a batch, behind what `before` says, leaves out what it does in the whole.
  Tensor encode_image(const Tensor& pixels, const nn::Place& before = {}) const;
  /// → (B, E), likewise.
  Tensor encode_text(const Captions&, const nn::Place& before = {}) const;

  /// ln of the factor between cosines and logits: (), starts at ln(1 / 0.07) and is kept in
  /// [0, ln 100] by training, as in the paper.
  const Tensor& logit_scale() const { return logit_scale_; }
  /// What is added to logits, for the sigmoid loss: (), starts at -10, and the factor at 10 (Zhai
  /// et al., 2023, section 3.2). Undefined in a model that has none.
  const Tensor& logit_bias() const { return logit_bias_; }
  /// Recompute each block during backward instead of keeping its insides: less memory, a third more
  /// time.
  void set_checkpointing(bool on);

  /// What the towers leave out in training from now on: elements at `rate`, patches of pictures at
  /// `patches`, as (seed, step) say. Throws Error if the image tower is a ResNet.
  void set_dropping(double rate, double patches, uint64_t seed, int64_t step);

  /// Nothing in the image tower is trained but its last `unlocked_groups` groups (see ImageTower),
  /// or in the text tower. What is locked keeps no graph.
  void lock_image(int64_t unlocked_groups = 0);
  void lock_text();
  /// Whether anything is trained in the towers.
  bool trains_image() const { return visual_ && image_trained_; }
  bool trains_text() const;

  /// Computes, and keeps its parameters, as that says. The temperature and the bias of logits stay
  /// f32: in bf16 no step of training would move them. Throws Error if a value is beyond the
  /// largest of its 16-bit type.
  void use(const PrecisionConfig&);
  const PrecisionConfig& precision() const { return precision_; }

  const ModelConfig& config() const { return config_; }
  Device device() const { return logit_scale_.device(); }

 private:
  nn::ImageTower* add_image_tower();
  nn::TextTower* add_text_tower();

  ModelConfig config_;
  PrecisionConfig precision_;
  bool image_trained_ = true;
  nn::ImageTower* visual_;  // null: not there
  nn::TextTower* text_;     // likewise
  Tensor logit_scale_, logit_bias_;
};

}  // namespace diptych
