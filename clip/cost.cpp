// clip/cost.cpp — counting multiply-adds, per picture and per caption.
#include "clip/cost.h"

namespace diptych {
namespace {

double product(int64_t a, int64_t b, int64_t c = 1) {
  return static_cast<double>(a) * static_cast<double>(b) * static_cast<double>(c);
}

// Of T tokens, per layer: q, k, v and output projections, 4 T D²; the MLP, 2 T D I; scores and
// weighted sums, 2 T² D, of which causal attention skips half. Of the last layer's result one row
// is read: the others have nothing but k and v.
double multiply_adds(const nn::TowerConfig& c, bool causal, int64_t T) {
  if (c.layers == 0) return 0;
  const int64_t D = c.width, I = c.inside();
  const double attention = product(T, T, D) * (causal ? 1 : 2);
  const double block = product(4 * T, D, D) + product(2 * T, D, I) + attention;
  const double last = product(2 * T + 2, D, D) + product(2, D, I) + product(2, T, D);
  return static_cast<double>(c.layers - 1) * block + last;
}

double multiply_adds(const nn::VitConfig& v, const ModelConfig& c) {
  const int64_t side = c.image_size() / v.patch_size, patches = side * side;
  const int64_t patch = c.channels() * v.patch_size * v.patch_size, D = v.transformer.width;
  return multiply_adds(v.transformer, /*causal=*/false, patches + 1) + product(patches, patch, D) +
         product(D, c.embed_dim);
}

double bottleneck(int64_t side, int64_t stride, int64_t in, int64_t inside) {
  const int64_t pixels = side * side, after = pixels / (stride * stride), out = 4 * inside;
  const bool shortcut = stride > 1 || in != out;
  return product(pixels, in, inside) + product(9 * pixels, inside, inside) +
         product(after, inside, out) + (shortcut ? product(after, in, out) : 0);
}

double multiply_adds(const nn::ResNetConfig& r, const ModelConfig& c) {
  const int64_t half = c.image_size() / 2, w = r.width, D = r.features(), taps = 9 * half * half;
  double work =
      product(taps, c.channels(), w / 2) + product(taps, w / 2, w / 2) + product(taps, w / 2, w);
  int64_t side = half / 2, in = w;
  for (size_t stage = 0; stage < r.layers.size(); ++stage) {
    for (int64_t i = 0; i < r.layers[stage]; ++i) {
      const int64_t stride = stage > 0 && i == 0 ? 2 : 1, inside = w << stage;
      work += bottleneck(side, stride, in, inside);
      side /= stride;
      in = 4 * inside;
    }
  }
  const int64_t tokens = side * side + 1;  // keys and values of all, one query
  return work + product(2 * tokens + 1, D, D) + product(2 * tokens, D) + product(D, c.embed_dim);
}

double multiply_adds(const nn::TextConfig& text, int64_t embed_dim, int64_t T) {
  if (text.type == nn::TextType::cbow) return product(text.transformer.width, embed_dim);
  const int64_t tokens = text.ends_where_read() ? T : text.context_length;
  return multiply_adds(text.transformer, text.causal, tokens) +
         product(text.transformer.width, embed_dim);
}

}  // namespace

double forward_flops(const ModelConfig& c, int64_t text_length) {
  const double image =
      std::visit([&c](const auto& vision) { return multiply_adds(vision, c); }, c.vision);
  return 2 * (image + multiply_adds(c.text, c.embed_dim, text_length));
}

}  // namespace diptych
