// data/text/captions.h — captions packed one behind the other.
#pragma once

#include "tensor/tensor.h"

namespace diptych {

struct PackedTokens {
  Tensor tokens;   ///< (ΣT) i64
  Tensor offsets;  ///< (B+1) i64
};

/// Packs captions padded to equal length, (B, T) i64. A caption ends at its largest id, the first
/// if it occurs twice, as in openai/CLIP clip/model.py, encode_text: end-of-text is the last id of
/// the vocabulary.
PackedTokens pack_tokens(const Tensor& padded);

}  // namespace diptych
