// nn/text_transformer.cpp — the text tower.
#include "nn/text_transformer.h"

#include <cmath>

namespace diptych::nn {
namespace {

// Where each token stands in its caption, and the row of each caption's last token.
struct Layout {
  Tensor positions;  // (ΣT)
  Tensor last;       // (B)
};

Layout layout(const Tensor& tokens, const Tensor& offsets, int64_t context) {
  check(tokens.rank() == 1 && offsets.rank() == 1 && offsets.dim(0) >= 1,
        "text: needs tokens (ΣT) and offsets (B+1), got ", tokens.shape(), " and ",
        offsets.shape());
  const auto ends = offsets.to_vector<int64_t>();
  std::vector<int64_t> positions, last;
  for (size_t b = 0; b + 1 < ends.size(); ++b) {
    const int64_t T = ends[b + 1] - ends[b];
    check(0 < T && T <= context, "text: caption ", b, " has ", T, " tokens, the context is 1 to ",
          context, "; tokenize with truncation");
    for (int64_t t = 0; t < T; ++t) positions.push_back(t);
    last.push_back(ends[b + 1] - 1);
  }
  const auto rows = static_cast<int64_t>(positions.size()), B = static_cast<int64_t>(last.size());
  check(rows == tokens.dim(0), "text: offsets cover ", rows, " of ", tokens.dim(0), " tokens");
  return {from_vector(positions, {rows}).to(tokens.device()),
          from_vector(last, {B}).to(tokens.device())};
}

}  // namespace

TextTransformer::TextTransformer(const TextConfig& c)
    : config_(c),
      token_embedding_(child<Embedding>("token_embedding", c.vocab_size, c.transformer.width,
                                        Init::normal(0.02))),
      positional_embedding_(parameter("positional_embedding",
                                      {c.context_length, c.transformer.width}, Init::normal(0.01))),
      transformer_(child<Transformer>("transformer", c.transformer)),
      ln_final_(child<LayerNorm>("ln_final", c.transformer.width, c.transformer.eps)),
      text_projection_(
          parameter("text_projection", {c.transformer.width, c.embed_dim},
                    Init::normal(1 / std::sqrt(static_cast<double>(c.transformer.width))))) {}

Tensor TextTransformer::operator()(const Tensor& tokens, const Tensor& offsets) const {
  const Layout rows = layout(tokens, offsets, config_.context_length);
  const Tensor x =
      token_embedding_(tokens) + gather_rows(positional_embedding_, rows.positions);  // (ΣT, D)
  return matmul(ln_final_(transformer_.pooled(x, offsets, rows.last)), text_projection_);
}

}  // namespace diptych::nn
