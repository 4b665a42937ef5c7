// clip/presets.cpp — models known by name.
#include <map>

#include "clip/config.h"

namespace diptych {
namespace {

struct Row {
  const char* name;
  int64_t image_size, patch_size, channels, vision_width, vision_layers, vision_heads;
  int64_t vocab_size, context_length, text_width, text_layers, text_heads;
  int64_t embed_dim;
};

// ViT-*: openai/CLIP clip/model.py as loaded from the released files (Radford et al., 2021, table
// 20).
constexpr Row kRows[] = {
    //               R   p  C     D   L   H      V   T    D   L   H     E
    {"fashion", 28, 7, 3, 96, 4, 3, 640, 16, 64, 2, 2, 64},
    {"tiny", 28, 7, 1, 96, 4, 3, 512, 16, 96, 3, 3, 96},
    {"small", 64, 8, 3, 192, 6, 3, 2048, 32, 192, 4, 3, 192},
    {"ViT-B-32", 224, 32, 3, 768, 12, 12, 49408, 77, 512, 12, 8, 512},
    {"ViT-B-16", 224, 16, 3, 768, 12, 12, 49408, 77, 512, 12, 8, 512},
    {"ViT-L-14", 224, 14, 3, 1024, 24, 16, 49408, 77, 768, 12, 12, 768},
    {"ViT-L-14-336", 336, 14, 3, 1024, 24, 16, 49408, 77, 768, 12, 12, 768},
};

ModelConfig config_of(const Row& r) {
  ModelConfig c;
  c.vision.image_size = c.preprocess.size = r.image_size;
  c.vision.patch_size = r.patch_size;
  c.vision.channels = c.preprocess.channels = r.channels;
  c.vision.transformer.width = r.vision_width;
  c.vision.transformer.layers = r.vision_layers;
  c.vision.transformer.heads = r.vision_heads;
  c.text.vocab_size = r.vocab_size;
  c.text.context_length = r.context_length;
  c.text.transformer.width = r.text_width;
  c.text.transformer.layers = r.text_layers;
  c.text.transformer.heads = r.text_heads;
  c.vision.embed_dim = c.text.embed_dim = r.embed_dim;
  return c;
}

int64_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<int64_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = static_cast<int64_t>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    int64_t diagonal = row[0]++;
    for (size_t j = 1; j <= b.size(); ++j) {
      const int64_t substituted = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

}  // namespace

const std::vector<std::string>& preset_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const Row& row : kRows) all.emplace_back(row.name);
    return all;
  }();
  return names;
}

std::string nearest(const std::string& name, const std::vector<std::string>& known) {
  std::string best;
  int64_t least = 3;
  for (const std::string& candidate : known) {
    const int64_t distance = edit_distance(name, candidate);
    if (distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

ModelConfig preset(const std::string& name) {
  for (const Row& row : kRows) {
    if (name == row.name) return config_of(row);
  }
  std::string all;
  for (const std::string& known : preset_names()) all += (all.empty() ? "" : ", ") + known;
  const std::string guess = nearest(name, preset_names());
  fail("model: there is no model '", name, "'",
       guess.empty() ? "" : "; did you mean " + guess + "?", " (known: ", all, ")");
}

}  // namespace diptych
