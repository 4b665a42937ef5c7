// clip/infer_config.cpp — sizes from shapes.
#include "clip/infer_config.h"

#include <cmath>
#include <map>

namespace diptych {
namespace {

constexpr int64_t kHeadWidth = 64;  // of every model OpenAI released

class Shapes {
 public:
  explicit Shapes(const std::vector<NamedTensor>& tensors) {
    for (const NamedTensor& t : tensors) shapes_.emplace(t.name, t.tensor.shape());
  }

  Shape get(const std::string& name, int rank) const {
    const auto it = shapes_.find(name);
    check(it != shapes_.end(), "infer: the file has no configuration and no tensor '", name,
          "', so it is not a CLIP with a vision transformer under OpenAI's names");
    check(it->second.rank() == rank && it->second.numel() > 0, "infer: '", name, "' has shape ",
          it->second, ", expected ", rank, " axes");
    return it->second;
  }

  int64_t layers(const std::string& prefix) const {
    int64_t n = 0;
    while (shapes_.count(prefix + std::to_string(n) + ".attn.in_proj_weight")) ++n;
    check(n > 0, "infer: no tensor '", prefix, "0.attn.in_proj_weight'");
    return n;
  }

 private:
  std::map<std::string, Shape> shapes_;
};

void infer_tower(const Shapes& shapes, const std::string& prefix, int64_t width,
                 nn::TransformerConfig& t) {
  t.width = width;
  t.layers = shapes.layers(prefix + "resblocks.");
  check(width % kHeadWidth == 0, "infer: width ", width, " is not a multiple of ", kHeadWidth,
        ", so the number of heads cannot be inferred; the file needs a configuration");
  t.heads = width / kHeadWidth;
}

std::string describe(const ModelConfig& c) {
  std::ostringstream notes;
  const auto& v = c.vision;
  const auto& t = c.text;
  notes << "image size " << v.image_size << ", patch size " << v.patch_size << ", channels "
        << v.channels << ": from visual.conv1.weight and visual.positional_embedding\n"
        << "vision width " << v.transformer.width << ", layers " << v.transformer.layers
        << ": from visual.conv1.weight and visual.transformer.resblocks.*\n"
        << "vocabulary " << t.vocab_size << ", context " << t.context_length << ", text width "
        << t.transformer.width << ", layers " << t.transformer.layers
        << ": from token_embedding.weight, positional_embedding and transformer.resblocks.*\n"
        << "embedding " << c.embed_dim() << ": from text_projection\n"
        << "heads " << v.transformer.heads << " and " << t.transformer.heads
        << ": assumed, one per " << kHeadWidth << " of width\n"
        << "activation quick_gelu, layer norm eps 1e-5, OpenAI's mean and std: assumed, as in "
           "every model OpenAI released\n";
  return notes.str();
}

}  // namespace

InferredConfig infer_config(const std::vector<NamedTensor>& tensors) {
  const Shapes shapes(tensors);
  ModelConfig c;
  const Shape conv = shapes.get("visual.conv1.weight", 4),
              rows = shapes.get("visual.positional_embedding", 2);
  const auto grid = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(rows[0] - 1))));
  check(grid * grid == rows[0] - 1, "infer: visual.positional_embedding has ", rows[0],
        " rows, not a square plus one");
  c.vision.patch_size = conv[3];
  c.vision.channels = c.preprocess.channels = conv[1];
  c.vision.image_size = c.preprocess.size = conv[3] * grid;
  infer_tower(shapes, "visual.transformer.", conv[0], c.vision.transformer);

  const Shape table = shapes.get("token_embedding.weight", 2);
  c.text.vocab_size = table[0];
  c.text.context_length = shapes.get("positional_embedding", 2)[0];
  infer_tower(shapes, "transformer.", table[1], c.text.transformer);
  c.vision.embed_dim = c.text.embed_dim = shapes.get("text_projection", 2)[1];
  return {c, describe(c)};
}

}  // namespace diptych
