// clip/cost.cpp — counting multiply-adds and saved activations.
#include "clip/cost.h"

namespace diptych {
namespace {

// Per sequence of T tokens and layer: q, k, v and output projections 4 T D², the MLP 8 T D², scores
// and weighted sums 2 T² D; causal attention skips half of the latter.
double tower_flops(const nn::TransformerConfig& c, int64_t tokens) {
  const auto T = static_cast<double>(tokens), D = static_cast<double>(c.width);
  const double attention = (c.causal ? 1 : 2) * T * T * D;
  return 2 * static_cast<double>(c.layers) * (12 * T * D * D + attention);
}

// What the closures of one block save per token, in floats: two norm inputs (2 D) and outputs (2
// D), qkv (3 D), attention output (D), MLP hidden before and after the activation (8 D).
int64_t tower_activations(const nn::TransformerConfig& c, int64_t tokens) {
  return c.layers * tokens * 16 * c.width;
}

}  // namespace

Cost estimate_cost(const ModelConfig& c, int64_t parameters, int64_t batch_size,
                   int64_t text_length) {
  const int64_t side = c.vision.image_size / c.vision.patch_size, patches = side * side;
  const int64_t patch_pixels = c.vision.channels * c.vision.patch_size * c.vision.patch_size;
  const auto& vision = c.vision.transformer;
  const auto& text = c.text.transformer;
  Cost cost;
  cost.forward_flops = tower_flops(vision, patches + 1) + tower_flops(text, text_length) +
                       2.0 * static_cast<double>(patches * patch_pixels * vision.width +
                                                 (vision.width + text.width) * c.embed_dim());
  cost.state_bytes = 4 * parameters * 4;
  const int64_t floats = tower_activations(vision, patches + 1) +
                         tower_activations(text, text_length) + patches * patch_pixels;
  cost.training_bytes = cost.state_bytes + 4 * batch_size * floats;
  return cost;
}

}  // namespace diptych
