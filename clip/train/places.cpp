// clip/train/places.cpp — from names to layers.
#include "clip/train/places.h"

#include <charconv>
#include <cmath>
#include <string_view>

namespace diptych {
namespace {

constexpr std::string_view kVisual = "visual.", kBlocks = "transformer.resblocks.";

int64_t number_at(std::string_view text) {
  int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// conv1 … bn3, layer1 … layer4, attnpool
TowerPlace in_resnet(std::string_view name) {
  constexpr int64_t kLast = 5;
  const bool stage = name.starts_with("layer"), pool = name.starts_with("attnpool");
  return {TowerPlace::Tower::image, stage ? number_at(name.substr(5)) : pool ? kLast : 0, kLast};
}

// Blocks, what precedes them, and what follows.
int64_t layer_of(std::string_view name, int64_t last) {
  if (name.starts_with(kBlocks)) return 1 + number_at(name.substr(kBlocks.size()));
  for (const std::string_view after : {"ln_post", "proj", "ln_final", "text_projection"})
    if (name.starts_with(after)) return last;
  return 0;
}

}  // namespace

TowerPlace place_of(const std::string& name, const ModelConfig& c) {
  if (name == "logit_scale" || name == "logit_bias") return {TowerPlace::Tower::neither, 0, 0};
  const std::string_view all = name;
  const bool image = all.starts_with(kVisual);
  if (image && c.resnet()) return in_resnet(all.substr(kVisual.size()));
  const int64_t last = 1 + (image ? c.vit()->transformer : c.text.transformer).layers;
  return {image ? TowerPlace::Tower::image : TowerPlace::Tower::text,
          layer_of(image ? all.substr(kVisual.size()) : all, last), last};
}

double rate_of(const TowerPlace& place, const TuningConfig& c) {
  if (place.tower == TowerPlace::Tower::neither) return 1;
  const double tower = place.tower == TowerPlace::Tower::image ? c.image_rate : c.text_rate;
  return tower * std::pow(c.layer_decay, static_cast<double>(place.last - place.layer));
}

}  // namespace diptych
