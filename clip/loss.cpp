// clip/loss.cpp — the symmetric contrastive loss.
#include "clip/loss.h"

#include <algorithm>
#include <cmath>
#include <map>

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

// Pictures of one caption share its probability at best, and so do the captions of one picture.
double loss_floor(const Captions& captions) {
  const std::vector<int64_t> ids = captions.tokens.to_vector<int64_t>();
  const std::vector<int64_t>& ends = captions.layout.ends();
  std::map<std::vector<int64_t>, int64_t> times;
  for (int64_t b = 0; b < captions.layout.count(); ++b)
    ++times[{ids.begin() + ends[static_cast<size_t>(b)],
             ids.begin() + ends[static_cast<size_t>(b) + 1]}];
  double sum = 0;
  for (const auto& [caption, m] : times) {
    const auto often = static_cast<double>(m);
    sum += often * std::log(often);
  }
  return sum / std::max(1.0, static_cast<double>(captions.layout.count()));
}

Tensor contrastive_loss(const Clip& model, const Tensor& pixels, const Captions& captions) {
  return contrastive_loss(model.encode_image(pixels), model.encode_text(captions),
                          model.logit_scale());
}

}  // namespace diptych
