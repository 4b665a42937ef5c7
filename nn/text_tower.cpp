// nn/text_tower.cpp — what every text encoder asks of its captions.
#include "nn/text_tower.h"

namespace diptych::nn {

void TextTower::check_captions(const Tensor& tokens, const Ragged& layout, int64_t context) {
  check(tokens.rank() == 1 && tokens.dim(0) == layout.rows(), "text: a layout of ", layout.rows(),
        " tokens does not fit ", tokens.shape());
  for (int64_t b = 0; b < layout.count(); ++b)
    check(0 < layout.length(b) && layout.length(b) <= context, "text: caption ", b, " has ",
          layout.length(b), " tokens, the context is 1 to ", context, "; tokenize with truncation");
}

}  // namespace diptych::nn
