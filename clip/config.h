// clip/config.h — what a CLIP is made of, as data: architecture, activation, pre-processing.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "data/image/transform.h"
#include "data/text/captions.h"
#include "nn/resnet.h"
#include "nn/text_tower.h"
#include "nn/vit.h"

namespace diptych {

/// Which towers there are: a file may hold one alone.
enum class Towers : uint8_t { both, image, text };

/// Everything that must be known to compute the same features from the same weights. Stored as JSON
/// in the metadata of every model file, so that no loader has to guess.
struct ModelConfig {
  std::variant<nn::VitConfig, nn::ResNetConfig> vision;
  nn::TextConfig text;
  int64_t embed_dim = 512;  ///< E
  Preprocess preprocess;    ///< knows the pictures' size and channels
  /// Whose tokens the text tower reads, if not those of OpenAI's byte-pair encoding: such a model
  /// gets no vocabulary here.
  std::string foreign_tokenizer;
  /// There is a bias of logits beside their scale, and the loss is the sigmoid one (clip/loss.h).
  bool logit_bias = false;
  /// What is said of a tower that is not there means nothing. Files of ours hold both.
  Towers towers = Towers::both;

  bool has_image() const { return towers != Towers::text; }
  bool has_text() const { return towers != Towers::image; }
  int64_t image_size() const { return preprocess.size; }
  int64_t channels() const { return preprocess.channels; }

  /// Null if the image tower is the other one.
  const nn::ResNetConfig* resnet() const { return std::get_if<nn::ResNetConfig>(&vision); }
  const nn::VitConfig* vit() const { return std::get_if<nn::VitConfig>(&vision); }
  nn::VitConfig* vit() { return std::get_if<nn::VitConfig>(&vision); }

  void set_activation(nn::Activation);  ///< of both towers
};

/// Where captions that are given as padded rows of ids end, for pack_padded.
CaptionEnd caption_end(const nn::TextConfig&);

std::string to_json(const ModelConfig&);
/// Throws Error naming the key if one is missing, unknown or of the wrong type.
ModelConfig model_config_from_json(const std::string& json);

/// A model known by name: OpenAI's nine, as "ViT-B-32" or "ViT-B/32", open_clip's, small ones.
/// Throws Error listing the names, with the nearest one as a suggestion.
ModelConfig preset(const std::string& name);
const std::vector<std::string>& preset_names();
/// What the small ones are for: "for benchmarks …"; empty for published models.
std::string preset_purpose(const std::string& name);

}  // namespace diptych
