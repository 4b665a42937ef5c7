// data/text/lengths.h — how many texts are longer than a context.
#pragma once

#include <string>

#include "data/text/texts.h"
#include "data/text/tokenizer.h"

namespace diptych {

struct TextLengths {
  int64_t texts = 0;         ///< looked at
  int64_t longer = 0;        ///< … that have more tokens than the context
  int64_t longest = 0;       ///< tokens, start and end included
  std::string first_longer;  ///< the first of those, as found
};

/// Counts tokens, start and end included, of every `stride`-th text.
TextLengths measure_lengths(const Tokenizer&, const Texts&, int64_t context, int64_t stride = 1);

}  // namespace diptych
