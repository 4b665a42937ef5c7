// nn/text_transformer.h — CLIP's causal text tower over packed captions.
#pragma once

#include "nn/text_tower.h"

namespace diptych::nn {

/// Token and position embeddings, blocks, and the projection of one token of each caption. Where
/// that is the end-of-text under a causal mask, nothing sees what follows it, so captions are
/// packed without padding: same numbers, a fraction of the work. Elsewhere captions are padded with
/// zeros to the context, as open_clip's tokenizer does. Names and numerics: openai/CLIP
/// clip/model.py; what OpenAI's does not have: open_clip transformer.py, TextTransformer.
class TextTransformer : public TextTower {
 public:
  TextTransformer(const TextConfig&, int64_t embed_dim);  ///< embed_dim: E
  /// Throws Error also if a caption has no token to read.
  using TextTower::operator();
  Tensor operator()(const Tensor& tokens, const Ragged& layout, const Place& before) const override;
  void set_checkpointing(bool on) override { transformer_.checkpointing = on; }
  void set_dropping(const Dropping& d) override { transformer_.dropping = d; }

 private:
  /// x (ΣT, D): positions added, through the blocks.
  Tensor embedded(const Tensor& tokens, const Ragged& layout) const;
  /// The token that is read of each caption, unless captions end there: → (B, D)
  Tensor read_padded(const Tensor& tokens, const Ragged& layout, const Place& before) const;

  TextConfig config_;
  Embedding& token_embedding_;
  Tensor positional_embedding_;  // (context, D)
  Transformer& transformer_;
  LayerNorm& ln_final_;
  Tensor text_projection_;  // (D, E)
};

}  // namespace diptych::nn
