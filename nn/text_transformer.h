// nn/text_transformer.h — CLIP's causal text tower over packed captions.
#pragma once

#include "nn/transformer.h"

namespace diptych::nn {

/// Which token of a caption is projected.
enum class TextPooling : uint8_t {
  largest,  ///< the first with the largest id (OpenAI: the end is the last id of the vocabulary)
  eos,      ///< the first with the id `eos_id`
  first,    ///< the first
  last      ///< the last of the context, padding included
};

struct TextConfig {
  int64_t context_length = 77;  ///< longest caption, start and end tokens included
  int64_t vocab_size = 49408;   ///< V
  TowerConfig transformer{};
  bool causal = true;  ///< a token sees itself and what came before it
  TextPooling pooling = TextPooling::largest;
  int64_t eos_id = 0;  ///< for TextPooling::eos

  /// Captions end at the token that is read: nothing behind it counts.
  bool ends_where_read() const {
    return causal && (pooling == TextPooling::largest || pooling == TextPooling::eos);
  }
};

/// Token and position embeddings, blocks, and the projection of one token of each caption. Where
/// that is the end-of-text under a causal mask, nothing sees what follows it, so captions are
/// packed without padding: same numbers, a fraction of the work. Elsewhere captions are padded with
/// zeros to the context, as open_clip's tokenizer does. Names and numerics: openai/CLIP
/// clip/model.py; what OpenAI's does not have: open_clip transformer.py, TextTransformer.
class TextTransformer : public Module {
 public:
  TextTransformer(const TextConfig&, int64_t embed_dim);  ///< embed_dim: E
  /// tokens i64 (ΣT), packed as `layout` says; where ends_where_read, each caption ends at the
  /// token that is read → (B, E), not normalised. Throws Error if a caption is empty or longer than
  /// the context, has no token to read, or an id is outside the vocabulary.
  Tensor operator()(const Tensor& tokens, const Ragged& layout) const;
  void set_checkpointing(bool on) { transformer_.checkpointing = on; }

 private:
  /// x (ΣT, D): positions added, through the blocks.
  Tensor embedded(const Tensor& tokens, const Ragged& layout) const;
  /// The token that is read of each caption, unless captions end there: → (B, D)
  Tensor read_padded(const Tensor& tokens, const Ragged& layout) const;

  TextConfig config_;
  Embedding& token_embedding_;
  Tensor positional_embedding_;  // (context, D)
  Transformer& transformer_;
  LayerNorm& ln_final_;
  Tensor text_projection_;  // (D, E)
};

}  // namespace diptych::nn
