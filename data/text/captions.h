// data/text/captions.h — tokenized captions, packed one behind the other.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "tensor/ragged.h"

namespace diptych {

struct Captions {
  Tensor tokens;  ///< (ΣT) i64: start … end, start … end, …
  Ragged layout;  ///< which of them each caption has
  /// In one copy, whatever the layout's numbers are.
  Captions to(Device) const;
};

/// The token ids of each caption.
Captions pack(const std::vector<std::vector<int64_t>>& captions);

/// Where captions end in rows that are padded to equal length.
struct CaptionEnd {
  /// At the first token of this id; without it at the largest, the first if it occurs twice, as in
  /// openai/CLIP clip/model.py, encode_text: end-of-text is the last id of the vocabulary.
  std::optional<int64_t> id = {};
  /// Nowhere, if not 0: rows count whole and must be this long.
  int64_t whole = 0;
};

/// Captions padded to equal length, (B, T) i64. Throws Error if one has no end.
Captions pack_padded(const Tensor& tokens, const CaptionEnd& = {});

}  // namespace diptych
