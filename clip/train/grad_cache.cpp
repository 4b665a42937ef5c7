// clip/train/grad_cache.cpp — features without a graph, the loss, then every part once more.
#include "clip/train/grad_cache.h"

#include <fmt/core.h>

#include <algorithm>
#include <functional>

#include "autograd/recompute.h"

namespace diptych {
namespace {

// Makes the features of pairs begin … end-1.
using Encode = std::function<Tensor(int64_t begin, int64_t end)>;

Encode encode_images(const Clip& model, const Pictures& pictures) {
  return [&](int64_t begin, int64_t end) {
    return model.encode_image(pictures.part(begin, end), {begin, 0});
  };
}

Encode encode_texts(const Clip& model, const Captions& all) {
  return [&](int64_t begin, int64_t end) {
    if (begin == 0 && end == all.layout.count()) return model.encode_text(all);
    const std::vector<int64_t>& ends = all.layout.ends();
    const int64_t first = ends[static_cast<size_t>(begin)], last = ends[static_cast<size_t>(end)];
    return model.encode_text({all.tokens.slice(0, first, last), all.layout.slice(begin, end)},
                             {begin, first});
  };
}

template <class F>
void for_each_chunk(int64_t B, int64_t chunk, const F& f) {
  for (int64_t begin = 0; begin < B; begin += chunk) f(begin, std::min(B, begin + chunk));
}

// Running statistics of batch norms stay: the second pass moves them.
Tensor features(int64_t B, int64_t chunk, const Encode& encode) {
  const NoGrad no_grad;
  const Recompute recompute;
  if (chunk >= B) return encode(0, B);
  Tensor all;
  for_each_chunk(B, chunk, [&](int64_t begin, int64_t end) {
    const Tensor part = encode(begin, end);
    if (!all.defined()) all = empty({B, part.dim(1)}, part.dtype(), part.device());
    all.slice(0, begin, end).copy_(part);
  });
  return all;
}

// Back through a tower, whose features have that gradient.
void replay(const Tensor& gradient, int64_t chunk, const Encode& encode) {
  for_each_chunk(gradient.dim(0), chunk, [&](int64_t begin, int64_t end) {
    const Tensor part = encode(begin, end);
    if (needs_grad(part)) backward(part, gradient.slice(0, begin, end));
  });
}

// The leaf's gradient; the leaf lets go of it.
Tensor taken(const Tensor& leaf) {
  Tensor gradient = grad(leaf);
  set_grad(leaf, {});
  return gradient;
}

}  // namespace

int64_t chunk_size(int64_t B, int64_t K) { return (B + K - 1) / K; }

Tensor image_features(const Clip& model, const Pictures& pictures, int64_t chunk) {
  return features(pictures.count(), chunk, encode_images(model, pictures));
}

Tensor text_features(const Clip& model, const Captions& captions, int64_t chunk) {
  return features(captions.layout.count(), chunk, encode_texts(model, captions));
}

StepValues grad_cached(const Clip& model, const Pictures& pictures, const Captions& captions,
                       const StepOptions& options) {
  const int64_t B = pictures.count(), chunk = chunk_size(B, options.accum_freq);
  const Tensor image = image_features(model, pictures, chunk),
               text = text_features(model, captions, chunk);
  if (model.trains_image()) track(image);
  if (model.trains_text()) track(text);
  const Tensor loss = model_loss(model, image, text, options.loss);
  backward(loss, full({}, options.loss_scale, loss.dtype(), loss.device()));
  if (model.trains_image()) replay(taken(image), chunk, encode_images(model, pictures));
  if (model.trains_text()) replay(taken(text), chunk, encode_texts(model, captions));
  return {loss.detach(), image.detach(), text.detach()};
}

std::string chunk_note(const ModelConfig& c, int64_t B, int64_t K) {
  if (K == 1) return {};
  const int64_t chunk = chunk_size(B, K), parts = (B + chunk - 1) / chunk;
  std::string note = fmt::format(
      "the towers see each batch of {} in {} parts of {}{}, twice; the loss sees it whole", B,
      parts, chunk, B % chunk ? fmt::format(" (the last has {})", B % chunk) : "");
  if (c.resnet())
    note +=
        "; batch norms have the statistics of a part, and running statistics follow each part "
        "once, so gradients are not those of the whole batch";
  return note;
}

}  // namespace diptych
