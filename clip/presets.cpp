// clip/presets.cpp — models known by name.
#include <algorithm>

#include "clip/config.h"
#include "clip/spelling.h"

namespace diptych {
namespace {

struct VitRow {
  const char* name;
  int64_t image_size, patch_size, channels, width, layers, heads, mlp_width;
  int64_t vocab_size, context_length, text_width, text_layers, text_heads;
  int64_t embed_dim;
  nn::Activation activation;
};

constexpr auto kQuick = nn::Activation::quick_gelu, kGelu = nn::Activation::gelu;

// Radford et al. (2021), table 20, and openai/CLIP clip/model.py for the released ViT-{B,L}; the
// rest of the large ones: open_clip's model_configs of the same names.
constexpr VitRow kVits[] = {
    //                     R   p  C     D   L   H   MLP      V   T     D   L   H     E
    {"fashion", 28, 7, 3, 96, 4, 3, 384, 640, 16, 64, 2, 2, 64, kQuick},
    {"tiny", 28, 7, 1, 96, 4, 3, 384, 512, 16, 96, 3, 3, 96, kQuick},
    {"small", 64, 8, 3, 192, 6, 3, 768, 2048, 32, 192, 4, 3, 192, kQuick},
    {"ViT-B-32", 224, 32, 3, 768, 12, 12, 3072, 49408, 77, 512, 12, 8, 512, kQuick},
    {"ViT-B-16", 224, 16, 3, 768, 12, 12, 3072, 49408, 77, 512, 12, 8, 512, kQuick},
    {"ViT-L-14", 224, 14, 3, 1024, 24, 16, 4096, 49408, 77, 768, 12, 12, 768, kQuick},
    {"ViT-L-14-336", 336, 14, 3, 1024, 24, 16, 4096, 49408, 77, 768, 12, 12, 768, kQuick},
    {"ViT-S-32", 224, 32, 3, 384, 12, 6, 1536, 49408, 77, 384, 12, 6, 384, kGelu},
    {"ViT-S-16", 224, 16, 3, 384, 12, 6, 1536, 49408, 77, 384, 12, 6, 384, kGelu},
    {"ViT-M-32", 224, 32, 3, 512, 12, 8, 2048, 49408, 77, 512, 12, 8, 512, kGelu},
    {"ViT-M-16", 224, 16, 3, 512, 12, 8, 2048, 49408, 77, 512, 12, 8, 512, kGelu},
    {"ViT-B-16-plus-240", 240, 16, 3, 896, 12, 14, 3584, 49408, 77, 640, 12, 10, 640, kGelu},
    {"ViT-H-14", 224, 14, 3, 1280, 32, 16, 5120, 49408, 77, 1024, 24, 16, 1024, kGelu},
    {"ViT-g-14", 224, 14, 3, 1408, 40, 16, 6144, 49408, 77, 1024, 24, 16, 1024, kGelu},
    {"ViT-bigG-14", 224, 14, 3, 1664, 48, 16, 8192, 49408, 77, 1280, 32, 20, 1280, kGelu},
};

struct ResNetRow {
  const char* name;
  int64_t image_size, channels, width;
  std::array<int64_t, 4> layers;
  int64_t vocab_size, context_length, text_width, text_layers, text_heads;
  int64_t embed_dim;
};

// Radford et al. (2021), table 19, and openai/CLIP clip/model.py. The attention pool has heads of
// 64.
constexpr ResNetRow kResNets[] = {
    //                  R  C    w  blocks              V   T     D   L   H     E
    {"tiny-resnet", 32, 3, 16, {1, 1, 1, 1}, 512, 16, 96, 3, 3, 96},
    {"RN50", 224, 3, 64, {3, 4, 6, 3}, 49408, 77, 512, 12, 8, 1024},
    {"RN101", 224, 3, 64, {3, 4, 23, 3}, 49408, 77, 512, 12, 8, 512},
    {"RN50x4", 288, 3, 80, {4, 6, 10, 6}, 49408, 77, 640, 12, 10, 640},
    {"RN50x16", 384, 3, 96, {6, 8, 18, 8}, 49408, 77, 768, 12, 12, 768},
    {"RN50x64", 448, 3, 128, {3, 15, 36, 10}, 49408, 77, 1024, 12, 16, 1024},
};

template <class Row>
nn::TextConfig text_of(const Row& r) {
  return {.context_length = r.context_length,
          .vocab_size = r.vocab_size,
          .transformer = {.width = r.text_width, .layers = r.text_layers, .heads = r.text_heads}};
}

nn::VitConfig vision_of(const VitRow& r) {
  return {r.patch_size, {r.width, r.layers, r.heads, r.mlp_width}};
}

nn::ResNetConfig vision_of(const ResNetRow& r) { return {r.width, r.layers, r.width / 2}; }

template <class Row>
ModelConfig config_of(const Row& r, nn::Activation activation) {
  ModelConfig c{.vision = vision_of(r),
                .text = text_of(r),
                .embed_dim = r.embed_dim,
                .preprocess = {.size = r.image_size, .channels = r.channels},
                .foreign_tokenizer = {}};
  c.set_activation(activation);
  return c;
}

// "ViT-L/14@336px", as OpenAI writes it, is "ViT-L-14-336".
std::string spelled_as_here(std::string name) {
  std::replace(name.begin(), name.end(), '/', '-');
  std::replace(name.begin(), name.end(), '@', '-');
  return name.ends_with("px") ? name.substr(0, name.size() - 2) : name;
}

constexpr std::string_view kCbowEnding = "-cbow";

template <class Row>
bool is_small(const Row& row) {
  return row.vocab_size < 49408;
}

// "fashion-cbow" is "fashion" with a bag of words for its text transformer.
ModelConfig with_cbow(ModelConfig c) {
  c.text.type = nn::TextType::cbow;
  c.text.transformer.layers = 0;
  return c;
}

std::string without_cbow(const std::string& name) {
  return name.ends_with(kCbowEnding) ? name.substr(0, name.size() - kCbowEnding.size()) : name;
}

template <class Row>
void add_names(const Row& row, std::vector<std::string>& all) {
  all.emplace_back(row.name);
  if (is_small(row)) all.push_back(row.name + std::string(kCbowEnding));
}

}  // namespace

const std::vector<std::string>& preset_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const VitRow& row : kVits) add_names(row, all);
    for (const ResNetRow& row : kResNets) add_names(row, all);
    return all;
  }();
  return names;
}

std::string preset_purpose(const std::string& spelled) {
  const std::string spelling = spelled_as_here(spelled), name = without_cbow(spelling);
  if (name != spelling) return preset_purpose(name) + "; captions as bags of words";
  if (name == "small")
    return "for pictures and captions of one's own: RGB, 64 px, 32 tokens of a vocabulary learned "
           "from the captions";
  if (name == "fashion") return "for the demo: RGB, 28 px, 16 tokens, captions of a few words";
  if (name == "tiny")
    return "for benchmarks and tests alone: grey pictures of 28 px; a vocabulary of single "
           "letters, "
           "of which it reads 14";
  if (name == "tiny-resnet")
    return "for benchmarks and tests alone: a vocabulary of single letters, of which it reads 14";
  return "";
}

ModelConfig preset(const std::string& spelled) {
  const std::string name = spelled_as_here(spelled), whole = without_cbow(name);
  const auto is = [&](const auto& row) {
    return name == row.name || (whole == row.name && is_small(row));
  };
  const auto chosen = [&](const ModelConfig& c) { return name == whole ? c : with_cbow(c); };
  for (const VitRow& row : kVits)
    if (is(row)) return chosen(config_of(row, row.activation));
  for (const ResNetRow& row : kResNets)
    if (is(row)) return chosen(config_of(row, kQuick));
  std::string all;
  for (const std::string& known : preset_names()) all += (all.empty() ? "" : ", ") + known;
  const std::string guess = nearest(name, preset_names());
  fail("model: there is no model '", spelled, "'",
       guess.empty() ? "" : "; did you mean " + guess + "?", " (known: ", all, ")");
}

}  // namespace diptych
