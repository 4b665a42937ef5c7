// clip/weights/infer_config.cpp — sizes from shapes.
#include "clip/weights/infer_config.h"

#include <cmath>
#include <map>
#include <sstream>

#include "clip/weights/vocabulary.h"

namespace diptych {
namespace {

constexpr int64_t kHeadWidth = 64;  // of every model OpenAI released

class Shapes {
 public:
  explicit Shapes(const std::vector<NamedTensor>& tensors) {
    for (const NamedTensor& t : tensors) shapes_.emplace(t.name, t.tensor.shape());
  }

  bool has(const std::string& name) const { return shapes_.count(name) > 0; }
  bool has_any(const std::string& prefix) const {
    const auto it = shapes_.lower_bound(prefix);
    return it != shapes_.end() && it->first.starts_with(prefix);
  }

  Shape get(const std::string& name, int rank) const {
    const auto it = shapes_.find(name);
    check(it != shapes_.end(), "infer: the file has no configuration and no tensor '", name,
          "', so it is not a CLIP under OpenAI's, open_clip's or Hugging Face's names");
    check(it->second.rank() == rank && it->second.numel() > 0, "infer: '", name, "' has shape ",
          it->second, ", expected ", rank, " axes");
    return it->second;
  }

  /// How many of prefix0suffix, prefix1suffix, … there are.
  int64_t count(const std::string& prefix, const std::string& suffix) const {
    int64_t n = 0;
    while (has(prefix + std::to_string(n) + suffix)) ++n;
    check(n > 0, "infer: no tensor '", prefix, "0", suffix, "'");
    return n;
  }

  /// The side of the square grid of positions, besides the class or mean token.
  int64_t grid(const std::string& name) const {
    const int64_t rows = get(name, 2)[0] - 1;
    const auto side = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(rows))));
    check(side > 0 && side * side == rows, "infer: ", name, " has ", rows + 1,
          " rows, not a square plus one");
    return side;
  }

 private:
  std::map<std::string, Shape> shapes_;
};

nn::TowerConfig infer_tower(const Shapes& shapes, const std::string& prefix, int64_t width) {
  nn::TowerConfig t;
  t.width = width;
  t.layers = shapes.count(prefix + "resblocks.", ".attn.in_proj_weight");
  t.mlp_width = shapes.get(prefix + "resblocks.0.mlp.c_fc.weight", 2)[0];
  return t;
}

nn::VitConfig infer_vit(const Shapes& shapes) {
  const Shape conv = shapes.get("visual.conv1.weight", 4);
  nn::VitConfig v;
  v.patch_size = conv[3];
  v.transformer = infer_tower(shapes, "visual.transformer.", conv[0]);
  v.pre_norm = shapes.has("visual.ln_pre.weight");
  return v;
}

nn::ResNetConfig infer_resnet(const Shapes& shapes) {
  nn::ResNetConfig r;
  r.width = shapes.get("visual.layer1.0.conv1.weight", 4)[0];
  for (size_t stage = 0; stage < r.layers.size(); ++stage)
    r.layers[stage] =
        shapes.count("visual.layer" + std::to_string(stage + 1) + '.', ".conv1.weight");
  r.heads = r.features() / kHeadWidth;
  return r;
}

nn::TextConfig infer_text(const Shapes& shapes) {
  nn::TextConfig text;
  const Shape table = shapes.get("token_embedding.weight", 2);
  text.vocab_size = table[0];
  text.context_length = shapes.get("positional_embedding", 2)[0];
  text.transformer = infer_tower(shapes, "transformer.", table[1]);
  return text;
}

// Heads leave no trace in a shape. A tower as wide and deep as that of a published model has that
// model's; else they are 64 wide, or unknown (0). Our own small presets say nothing about files of
// others.
int64_t infer_heads(const nn::TowerConfig& tower, bool vision) {
  for (const std::string& name : preset_names()) {
    const ModelConfig known = preset(name);
    const bool published = known.text.vocab_size == kOpenAiVocabulary;
    if (!published || (vision && known.vit() == nullptr)) continue;
    const auto& other = vision ? known.vit()->transformer : known.text.transformer;
    if (other.width == tower.width && other.layers == tower.layers) return other.heads;
  }
  return tower.width % kHeadWidth == 0 ? tower.width / kHeadWidth : 0;
}

void check_heads(const nn::TowerConfig& tower) {
  check(tower.heads > 0, "infer: width ", tower.width, " is not a multiple of ", kHeadWidth,
        ", so the number of heads cannot be inferred; give --config, or --vision-heads and "
        "--text-heads");
}

std::string describe(const nn::VitConfig& v, const Preprocess& pictures) {
  std::ostringstream notes;
  notes << "image size " << pictures.size << ", patch size " << v.patch_size << ", channels "
        << pictures.channels << ": from visual.conv1.weight and visual.positional_embedding\n"
        << "vision width " << v.transformer.width << ", layers " << v.transformer.layers
        << ": from visual.conv1.weight and visual.transformer.resblocks.*\n";
  return notes.str();
}

std::string describe(const nn::ResNetConfig& r, const Preprocess& pictures) {
  std::ostringstream notes;
  notes << "image size " << pictures.size << ": from visual.attnpool.positional_embedding\n"
        << "ResNet width " << r.width << ", blocks " << r.layers[0] << ' ' << r.layers[1] << ' '
        << r.layers[2] << ' ' << r.layers[3] << ": from visual.layer*.*.conv1.weight\n";
  return notes.str();
}

std::string describe(const nn::TextConfig& t) {
  std::ostringstream notes;
  notes << "vocabulary " << t.vocab_size << ", context " << t.context_length << ", text width "
        << t.transformer.width << ", layers " << t.transformer.layers
        << ": from token_embedding.weight, positional_embedding and transformer.resblocks.*\n";
  return notes.str();
}

std::string describe(const ModelConfig& c) {
  std::string notes;
  if (!c.has_text()) notes += "the image tower alone: there is no tensor of a text tower\n";
  if (!c.has_image()) notes += "the text tower alone: there is no tensor of an image tower\n";
  if (c.has_image())
    notes +=
        std::visit([&c](const auto& vision) { return describe(vision, c.preprocess); }, c.vision);
  if (c.has_text()) notes += describe(c.text);
  return notes + "embedding " + std::to_string(c.embed_dim) + ": from " +
         (c.has_text() ? "text_projection" : "the image tower's projection") + '\n';
}

int64_t infer_embedding(const Shapes& shapes, const ModelConfig& c) {
  const bool resnet = !c.has_text() && shapes.has_any("visual.attnpool.");
  const std::string name = c.has_text() ? "text_projection"
                           : resnet     ? "visual.attnpool.c_proj.weight"
                                        : "visual.proj";
  check(c.towers == Towers::both || shapes.has(name), "infer: the tower has no ", name,
        ", so it ends before the embedding; save it with its projection, as transformers' "
        "CLIPVisionModelWithProjection and CLIPTextModelWithProjection have it");
  return shapes.get(name, 2)[resnet ? 0 : 1];
}

void infer_vision(const Shapes& shapes, ModelConfig& c) {
  c.preprocess.channels = shapes.get("visual.conv1.weight", 4)[1];
  if (shapes.has("visual.layer1.0.conv1.weight")) {
    c.vision = infer_resnet(shapes);
    c.preprocess.size = 32 * shapes.grid("visual.attnpool.positional_embedding");
  } else {
    c.vision = infer_vit(shapes);
    c.preprocess.size = c.vit()->patch_size * shapes.grid("visual.positional_embedding");
    c.vit()->transformer.heads = infer_heads(c.vit()->transformer, true);
  }
}

}  // namespace

// By what every tower of a kind has, so that a damaged one is not taken for none.
Towers towers_in(const std::vector<NamedTensor>& tensors) {
  const Shapes shapes(tensors);
  const bool image = shapes.has_any("visual.");
  const bool text = shapes.has_any("token_embedding.") || shapes.has_any("transformer.") ||
                    shapes.has_any("ln_final.") || shapes.has("positional_embedding");
  return image == text ? Towers::both : image ? Towers::image : Towers::text;
}

std::string describe_assumed(const ModelConfig& c) {
  std::ostringstream notes;
  if (c.has_image())
    notes << "vision heads " << (c.vit() ? c.vit()->transformer.heads : c.resnet()->heads)
          << ", OpenAI's mean and std, ";
  if (c.has_text())
    notes << "text heads " << c.text.transformer.heads << ", causal text read at its largest id, ";
  notes << "layer norm eps 1e-5: assumed\n";
  return notes.str();
}

void check_heads(const ModelConfig& c) {
  if (c.has_text()) check_heads(c.text.transformer);
  if (c.has_image() && c.vit()) check_heads(c.vit()->transformer);
}

InferredConfig infer_config(const std::vector<NamedTensor>& tensors) {
  const Shapes shapes(tensors);
  ModelConfig c;
  c.towers = towers_in(tensors);
  if (c.has_text()) {
    c.text = infer_text(shapes);
    c.text.transformer.heads = infer_heads(c.text.transformer, false);
  }
  c.embed_dim = infer_embedding(shapes, c);
  if (c.has_image()) infer_vision(shapes, c);
  c.logit_bias = std::any_of(tensors.begin(), tensors.end(),
                             [](const NamedTensor& x) { return x.name == "logit_bias"; });
  return {c, describe(c)};
}

}  // namespace diptych
