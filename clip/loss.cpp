// clip/loss.cpp — the symmetric contrastive loss.
#include "clip/loss.h"

namespace diptych {

ContrastiveLoss contrastive_loss(const Tensor& image, const Tensor& text,
                                 const Tensor& logit_scale) {
  check(image.rank() == 2 && image.shape() == text.shape(),
        "contrastive_loss: needs image and text (B, E), got ", image.shape(), " and ",
        text.shape());
  const Tensor cosines =
      matmul(l2_normalize(image), transpose(l2_normalize(text), 0, 1));  // (B, B)
  const Tensor logits = exp(logit_scale) * cosines;
  const Tensor diagonal = arange(image.dim(0), DType::i64, image.device());
  const Tensor rows = cross_entropy(logits, diagonal);
  const Tensor columns = cross_entropy(transpose(logits, 0, 1), diagonal);
  return {(rows + columns) * 0.5, logits};
}

}  // namespace diptych
