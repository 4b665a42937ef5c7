// clip/inputs.h — model inputs from files: pictures as pixels, padded token matrices as packed
// captions.
#pragma once

#include <string>
#include <vector>

#include "data/image.h"

namespace diptych {

/// The evaluation transform of each file → (N, C, R, R) f32.
Tensor load_pixels(const std::vector<std::string>& paths, const Preprocess&);

struct PackedTokens {
  Tensor tokens;   ///< (ΣT) i64
  Tensor offsets;  ///< (B+1) i64
};

/// Packs captions padded to equal length, (B, T) i64. A caption ends at its largest id, the first
/// if it occurs twice, as in openai/CLIP clip/model.py, encode_text: end-of-text is the last id of
/// the vocabulary.
PackedTokens pack_tokens(const Tensor& padded);

}  // namespace diptych
