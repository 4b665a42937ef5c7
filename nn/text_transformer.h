// nn/text_transformer.h — CLIP's causal text tower over packed captions.
#pragma once

#include "nn/transformer.h"

namespace diptych::nn {

struct TextConfig {
  int64_t context_length = 77;  ///< longest caption, start and end tokens included
  int64_t vocab_size = 49408;   ///< V
  TransformerSize transformer;
};

/// Token and position embeddings, causal blocks, and the projection of each caption's last token,
/// its end-of-text. Causal attention cannot see what follows that token, so captions are packed
/// without padding: same numbers, a fraction of the work. Names and numerics: openai/CLIP
/// clip/model.py.
class TextTransformer : public Module {
 public:
  /// embed_dim: E; activation and eps, of the layer norms, as in TransformerConfig.
  TextTransformer(const TextConfig&, int64_t embed_dim, Activation, double eps);
  /// tokens i64 (ΣT), packed as `layout` says → (B, E), not normalised. Throws Error if a caption
  /// is empty or longer than the context, or an id is outside the vocabulary.
  Tensor operator()(const Tensor& tokens, const Ragged& layout) const;
  void set_checkpointing(bool on) { transformer_.checkpointing = on; }

 private:
  int64_t context_length_;
  Embedding& token_embedding_;
  Tensor positional_embedding_;  // (context, D)
  Transformer& transformer_;
  LayerNorm& ln_final_;
  Tensor text_projection_;  // (D, E)
};

}  // namespace diptych::nn
