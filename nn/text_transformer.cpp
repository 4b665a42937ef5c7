// nn/text_transformer.cpp — the text tower.
#include "nn/text_transformer.h"

#include <algorithm>
#include <cmath>

#include "tensor/factory.h"

namespace diptych::nn {
namespace {

/// Captions behind one another, all T long: padded with zeros.
std::vector<int64_t> padded(const Tensor& tokens, const Ragged& layout, int64_t T) {
  const auto ids = tokens.to_vector<int64_t>();
  std::vector<int64_t> out(static_cast<size_t>(layout.count() * T), 0);
  for (int64_t b = 0; b < layout.count(); ++b)
    std::copy_n(ids.begin() + layout.ends()[static_cast<size_t>(b)], layout.length(b),
                out.begin() + b * T);
  return out;
}

/// Where the token that is read stands in a caption of T ids.
int64_t place_in(const int64_t* ids, const TextConfig& c, int64_t caption) {
  const int64_t T = c.context_length;
  if (c.pooling == TextPooling::first) return 0;
  if (c.pooling == TextPooling::last) return T - 1;
  if (c.pooling == TextPooling::largest) return std::max_element(ids, ids + T) - ids;
  const int64_t place = std::find(ids, ids + T, c.eos_id) - ids;
  check(place < T, "text: caption ", caption, " has no end token, id ", c.eos_id);
  return place;
}

}  // namespace

TextTransformer::TextTransformer(const TextConfig& c, int64_t embed_dim)
    : config_(c),
      token_embedding_(child<Embedding>("token_embedding", c.vocab_size, c.transformer.width,
                                        Init::normal(0.02))),
      positional_embedding_(parameter("positional_embedding",
                                      {c.context_length, c.transformer.width}, Init::normal(0.01))),
      transformer_(child<Transformer>(
          "transformer", TransformerConfig{c.transformer, c.causal, /*scaled_init=*/true})),
      ln_final_(child<LayerNorm>("ln_final", c.transformer.width, c.transformer.eps)),
      text_projection_(
          parameter("text_projection", {c.transformer.width, embed_dim},
                    Init::normal(1 / std::sqrt(static_cast<double>(c.transformer.width))))) {}

Tensor TextTransformer::embedded(const Tensor& tokens, const Ragged& layout) const {
  return token_embedding_(tokens) + gather_rows(positional_embedding_, layout.positions(),
                                                compute_dtype(positional_embedding_));
}

Tensor TextTransformer::read_padded(const Tensor& tokens, const Ragged& layout,
                                    const Place& before) const {
  const int64_t B = layout.count(), T = config_.context_length;
  const std::vector<int64_t> ids = padded(tokens, layout, T);
  std::vector<int64_t> rows;
  for (int64_t b = 0; b < B; ++b) rows.push_back(b * T + place_in(ids.data() + b * T, config_, b));
  const Ragged whole = Ragged::equal(B, T, tokens.device());
  const Tensor x = embedded(from_vector(ids, {B * T}).to(tokens.device()), whole);
  const Tensor y = transformer_(x, whole, {before.sequences, before.sequences * T});
  return gather_rows(y, from_vector(rows, {B}).to(tokens.device()));
}

Tensor TextTransformer::operator()(const Tensor& tokens, const Ragged& layout,
                                   const Place& before) const {
  check_captions(tokens, layout, config_.context_length);
  const Tensor read = config_.ends_where_read() ? transformer_.pooled(embedded(tokens, layout),
                                                                      layout, Pooling::last, before)
                                                : read_padded(tokens, layout, before);
  return matmul(ln_final_(read), in(text_projection_));
}

}  // namespace diptych::nn
