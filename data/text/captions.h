// data/text/captions.h — tokenized captions, packed one behind the other.
#pragma once

#include <vector>

#include "tensor/ragged.h"

namespace diptych {

struct Captions {
  Tensor tokens;  ///< (ΣT) i64: start … end, start … end, …
  Ragged layout;  ///< which of them each caption has
};

/// The token ids of each caption.
Captions pack(const std::vector<std::vector<int64_t>>& captions);

/// Captions padded to equal length, (B, T) i64. One ends at its largest id, the first if it occurs
/// twice, as in openai/CLIP clip/model.py, encode_text: end-of-text is the last id of the
/// vocabulary.
Captions pack_padded(const Tensor& tokens);

}  // namespace diptych
