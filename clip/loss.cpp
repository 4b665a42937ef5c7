// clip/loss.cpp — the symmetric contrastive loss.
#include "clip/loss.h"

namespace diptych {

Tensor logits_per_image(const Tensor& image, const Tensor& text, const Tensor& logit_scale) {
  check(image.rank() == 2 && image.shape() == text.shape(),
        "contrastive_loss: needs image and text (B, E), got ", image.shape(), " and ",
        text.shape());
  const Tensor cosines =
      matmul(l2_normalize(image), transpose(l2_normalize(text), 0, 1));  // (B, B)
  return exp(logit_scale) * cosines;
}

Tensor contrastive_loss(const Tensor& image, const Tensor& text, const Tensor& logit_scale) {
  const Tensor logits = logits_per_image(image, text, logit_scale);
  const Tensor diagonal = arange(logits.dim(0), DType::i64, logits.device());
  const Tensor rows = cross_entropy(logits, diagonal);
  const Tensor columns = cross_entropy(transpose(logits, 0, 1), diagonal);
  return (rows + columns) * 0.5;
}

Tensor contrastive_loss(const Clip& model, const Tensor& pixels, const Captions& captions) {
  return contrastive_loss(model.encode_image(pixels), model.encode_text(captions),
                          model.logit_scale());
}

}  // namespace diptych
