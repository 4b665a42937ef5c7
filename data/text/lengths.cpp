// data/text/lengths.cpp — counting tokens.
#include "data/text/lengths.h"

#include <algorithm>

namespace diptych {

TextLengths measure_lengths(const Tokenizer& words, const Texts& texts, int64_t context,
                            int64_t stride) {
  TextLengths out;
  int64_t index = 0;
  texts([&](std::string_view text) {
    if (index++ % stride != 0) return;
    const auto tokens =
        static_cast<int64_t>(words.tokenize(text, INT64_MAX, Overflow::error).size());
    ++out.texts;
    out.longest = std::max(out.longest, tokens);
    if (tokens <= context) return;
    if (out.longer++ == 0) out.first_longer = text;
  });
  return out;
}

}  // namespace diptych
