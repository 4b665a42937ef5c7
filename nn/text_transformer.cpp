// nn/text_transformer.cpp — the text tower.
#include "nn/text_transformer.h"

#include <cmath>

namespace diptych::nn {
namespace {

void check_captions(const Tensor& tokens, const Ragged& layout, int64_t context) {
  check(tokens.rank() == 1 && tokens.dim(0) == layout.rows(), "text: a layout of ", layout.rows(),
        " tokens does not fit ", tokens.shape());
  for (int64_t b = 0; b < layout.count(); ++b)
    check(0 < layout.length(b) && layout.length(b) <= context, "text: caption ", b, " has ",
          layout.length(b), " tokens, the context is 1 to ", context, "; tokenize with truncation");
}

}  // namespace

TextTransformer::TextTransformer(const TextConfig& c, int64_t embed_dim, Activation activation,
                                 double eps)
    : context_length_(c.context_length),
      token_embedding_(child<Embedding>("token_embedding", c.vocab_size, c.transformer.width,
                                        Init::normal(0.02))),
      positional_embedding_(parameter("positional_embedding",
                                      {c.context_length, c.transformer.width}, Init::normal(0.01))),
      transformer_(child<Transformer>(
          "transformer", TransformerConfig{c.transformer, /*causal=*/true, activation, eps,
                                           /*scaled_init=*/true})),
      ln_final_(child<LayerNorm>("ln_final", c.transformer.width, eps)),
      text_projection_(
          parameter("text_projection", {c.transformer.width, embed_dim},
                    Init::normal(1 / std::sqrt(static_cast<double>(c.transformer.width))))) {}

Tensor TextTransformer::operator()(const Tensor& tokens, const Ragged& layout) const {
  check_captions(tokens, layout, context_length_);
  const Tensor x =
      token_embedding_(tokens) + gather_rows(positional_embedding_, layout.positions());  // (ΣT, D)
  return matmul(ln_final_(transformer_.pooled(x, layout, Pooling::last)), text_projection_);
}

}  // namespace diptych::nn
