// nn/text_cbow.cpp — means of words.
#include "nn/text_cbow.h"

#include <algorithm>
#include <cmath>

#include "tensor/factory.h"

namespace diptych::nn {
namespace {

// i64 (ΣT): the caption of every token. The first and the last token of a caption are start and
// end; they belong to none, and all of those to the last, B.
Tensor caption_of_words(const Ragged& layout) {
  const int64_t B = layout.count();
  std::vector<int64_t> of(static_cast<size_t>(layout.rows()), B);
  for (int64_t b = 0; b < B; ++b) {
    const int64_t begin = layout.ends()[static_cast<size_t>(b)], T = layout.length(b);
    std::fill_n(of.begin() + begin + 1, std::max<int64_t>(T - 2, 0), b);
  }
  return from_vector(of, {layout.rows()}).to(layout.device());
}

// f64 (B, 1): one over the number of words, 0 without any.
Tensor shares(const Ragged& layout) {
  std::vector<double> out;
  for (int64_t b = 0; b < layout.count(); ++b) {
    const int64_t words = std::max<int64_t>(layout.length(b) - 2, 0);
    out.push_back(words == 0 ? 0 : 1 / static_cast<double>(words));
  }
  return from_vector(out, {layout.count(), 1});
}

}  // namespace

CbowText::CbowText(const TextConfig& c, int64_t embed_dim)
    : context_length_(c.context_length),
      token_embedding_(child<Embedding>("token_embedding", c.vocab_size, c.transformer.width,
                                        Init::normal(0.02))),
      ln_final_(child<LayerNorm>("ln_final", c.transformer.width, c.transformer.eps)),
      text_projection_(
          parameter("text_projection", {c.transformer.width, embed_dim},
                    Init::normal(1 / std::sqrt(static_cast<double>(c.transformer.width))))) {}

Tensor CbowText::operator()(const Tensor& tokens, const Ragged& layout, const Place& before) const {
  check_captions(tokens, layout, context_length_);
  const int64_t B = layout.count();
  const Tensor sums =
      slice(scatter_add_rows(token_embedding_(tokens), caption_of_words(layout), B + 1), 0, 0, B);
  const Tensor means = sums * shares(layout).to(sums.dtype()).to(sums.device());
  const bool drops = training() && dropping_.rate > 0;
  const Tensor kept = drops ? dropped(means, dropping_.behind(before).of_sequences(0)) : means;
  return matmul(ln_final_(kept), in(text_projection_));
}

}  // namespace diptych::nn
