// nn/text_cbow.h — captions as bags of words.
#pragma once

#include "nn/text_tower.h"

namespace diptych::nn {

/// The mean of the embeddings of a caption's words, a layer norm, a projection: the text encoder
/// that CLIP's pseudo-code names beside the transformer (Radford et al., 2021, figure 3). There are
/// no positions, so the order of the words cannot matter. Start and end of the text are no words; a
/// caption without any has the mean 0.
class CbowText : public TextTower {
 public:
  CbowText(const TextConfig&, int64_t embed_dim);  ///< embed_dim: E
  using TextTower::operator();
  Tensor operator()(const Tensor& tokens, const Ragged& layout, const Place& before) const override;
  void set_checkpointing(bool) override {}  ///< there are no blocks
  /// Elements of the means are left out.
  void set_dropping(const Dropping& d) override { dropping_ = d; }

 private:
  int64_t context_length_;
  Dropping dropping_;
  Embedding& token_embedding_;
  LayerNorm& ln_final_;
  Tensor text_projection_;  // (D, E)
};

}  // namespace diptych::nn
