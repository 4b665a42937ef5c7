// nn/text_tower.h — what every text encoder can do, and what it is made of.
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

/// What reads the captions.
enum class TextType : uint8_t {
  transformer,
  cbow  ///< a bag of words; of the transformer only the width counts then
};

struct TextConfig {
  int64_t context_length = 77;  ///< longest caption, start and end tokens included
  int64_t vocab_size = 49408;   ///< V
  TextType type = TextType::transformer;
  TowerConfig transformer{};
  bool causal = true;  ///< a token sees itself and what came before it
  TextPooling pooling = TextPooling::largest;
  int64_t eos_id = 0;  ///< for TextPooling::eos

  /// Captions end at the token that is read: nothing behind it counts.
  bool ends_where_read() const {
    return causal && (pooling == TextPooling::largest || pooling == TextPooling::eos);
  }
};

/// From packed captions to embeddings.
class TextTower : public Module {
 public:
  /// tokens i64 (ΣT), packed as `layout` says; where ends_where_read, each caption ends at the
  /// token that is read → (B, E), not normalised. They may be a part of a batch, behind what
  /// `before` says. Throws Error if a caption is empty or longer than the context, or an id is
  /// outside the vocabulary.
  virtual Tensor operator()(const Tensor& tokens, const Ragged& layout,
                            const Place& before) const = 0;
  Tensor operator()(const Tensor& tokens, const Ragged& layout) const {
    return (*this)(tokens, layout, Place{});
  }
  /// Recompute each block during backward instead of keeping its insides.
  virtual void set_checkpointing(bool on) = 0;
  /// What is left out in training from now on.
  virtual void set_dropping(const Dropping&) = 0;

 protected:
  /// Throws Error unless every caption has 1 to `context` tokens and the layout is theirs.
  static void check_captions(const Tensor& tokens, const Ragged& layout, int64_t context);
};

}  // namespace diptych::nn
