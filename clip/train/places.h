// clip/train/places.h — where in the towers a parameter stands, and what follows for its rate.
#pragma once

#include <string>

#include "clip/config.h"

namespace diptych {

/// What is fine-tuned gently, and what not at all.
struct TuningConfig {
  bool lock_image = false, lock_text = false;
  int64_t unlocked_groups = 0;           ///< of a locked image tower: see ImageTower::lock_but
  double image_rate = 1, text_rate = 1;  ///< times the learning rate
  double layer_decay = 1;                ///< of rates, per layer from the output down
  bool operator==(const TuningConfig&) const = default;
};

/// Layers of a tower are counted from the input: 0 are the embeddings, then come the blocks (of a
/// ResNet the stages), last what follows them.
struct TowerPlace {
  enum class Tower : uint8_t { image, text, neither } tower;
  int64_t layer, last;
};

/// Of a parameter by its name in a model of that configuration.
TowerPlace place_of(const std::string& name, const ModelConfig&);

/// What the parameter's rate is multiplied with: the tower's, times
/// layer_decay^(last - layer), as BEiT and its followers have it (Bao et al., 2021; Clark et al.,
/// 2020). The temperature has 1.
double rate_of(const TowerPlace&, const TuningConfig&);

}  // namespace diptych
