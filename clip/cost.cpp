// clip/cost.cpp — counting multiply-adds and saved activations, per picture and per caption.
#include "clip/cost.h"

namespace diptych {
namespace {

/// Of one forward pass of one sample.
struct Work {
  double multiply_adds = 0;
  int64_t floats = 0;  ///< kept for the backward pass

  Work& operator+=(const Work& more) {
    multiply_adds += more.multiply_adds;
    floats += more.floats;
    return *this;
  }
};

double product(int64_t a, int64_t b, int64_t c = 1) {
  return static_cast<double>(a) * static_cast<double>(b) * static_cast<double>(c);
}

// Of T tokens, in multiply-adds per layer: q, k, v and output projections, 4 T D²; the MLP, 2 T D
// I; scores and weighted sums, 2 T² D, of which causal attention skips half. Kept per token: inputs
// of two norms (2 D), q, k, v (3 D), the result of attention (D), the MLP before its activation
// (I). Of the last layer's result one row is read: the others have nothing but k and v, and a
// norm's input.
Work of(const nn::TowerConfig& c, bool causal, int64_t T) {
  if (c.layers == 0) return {};
  const int64_t D = c.width, I = c.inside();
  const double attention = product(T, T, D) * (causal ? 1 : 2);
  const double block = product(4 * T, D, D) + product(2 * T, D, I) + attention;
  const double last = product(2 * T + 2, D, D) + product(2, D, I) + product(2, T, D);
  return {static_cast<double>(c.layers - 1) * block + last,
          (c.layers - 1) * T * (6 * D + I) + T * 3 * D + 4 * D + I};
}

Work of(const nn::VitConfig& v, const ModelConfig& c) {
  const int64_t side = c.image_size() / v.patch_size, patches = side * side;
  const int64_t patch = c.channels() * v.patch_size * v.patch_size, D = v.transformer.width;
  Work work = of(v.transformer, /*causal=*/false, patches + 1);
  work += {product(patches, patch, D) + product(D, c.embed_dim), patches * patch};
  return work;
}

// A convolution of `taps` taps that ends in batch norm and ReLU, over `pixels` pixels: what is kept
// is its result and the normalised one, the input of the next.
Work conv(int64_t pixels, int64_t taps, int64_t in, int64_t out) {
  return {product(pixels, taps * in, out), 2 * pixels * out};
}

Work bottleneck(int64_t side, int64_t stride, int64_t in, int64_t inside) {
  const int64_t pixels = side * side, after = pixels / (stride * stride);
  Work work = conv(pixels, 1, in, inside);
  work += conv(pixels, 9, inside, inside);
  work += conv(after, 1, inside, 4 * inside);
  if (stride > 1 || in != 4 * inside) work += conv(after, 1, in, 4 * inside);
  return work;
}

Work of(const nn::ResNetConfig& r, const ModelConfig& c) {
  const int64_t half = c.image_size() / 2, w = r.width, D = r.features();
  Work work = conv(half * half, 9, c.channels(), w / 2);
  work += conv(half * half, 9, w / 2, w / 2);
  work += conv(half * half, 9, w / 2, w);
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
  work += {product(2 * tokens + 1, D, D) + product(2 * tokens, D) + product(D, c.embed_dim),
           3 * tokens * D};
  return work;
}

Work of(const nn::TextConfig& text, int64_t embed_dim, int64_t T) {
  const int64_t D = text.transformer.width;
  Work work = of(text.transformer, text.causal, text.ends_where_read() ? T : text.context_length);
  work += {product(D, embed_dim), T * D};
  return work;
}

}  // namespace

Cost estimate_cost(const ModelConfig& c, int64_t parameters, int64_t batch_size,
                   int64_t text_length) {
  Work pair = std::visit([&c](const auto& vision) { return of(vision, c); }, c.vision);
  pair += of(c.text, c.embed_dim, text_length);
  Cost cost;
  cost.forward_flops = 2 * pair.multiply_adds;
  cost.state_bytes = 4 * parameters * 4;
  cost.training_bytes = cost.state_bytes + 4 * batch_size * pair.floats;
  return cost;
}

}  // namespace diptych
