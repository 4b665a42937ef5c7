// clip/train/validation.cpp — one pass over held-out data.
#include "clip/train/validation.h"

#include "clip/eval/encode.h"
#include "clip/eval/zero_shot.h"
#include "clip/train/grad_cache.h"
#include "data/loader.h"

namespace diptych {
namespace {

// Evaluation while this lives.
class Evaluating {
 public:
  explicit Evaluating(Clip& model) : model_(model), before_(model.training()) { model.eval(); }
  ~Evaluating() { model_.train(before_); }
  Evaluating(const Evaluating&) = delete;
  Evaluating& operator=(const Evaluating&) = delete;

 private:
  Clip& model_;
  bool before_;
};

LoaderOptions loader_options(const Clip& model, const ValidationOptions& o) {
  LoaderOptions options;
  options.batch_size = o.batch_size;
  options.workers = o.workers;
  options.shuffle = false;
  options.context_length = model.config().text.context_length;
  return options;
}

/// Features of all that was read, of length one, on the host.
struct Pass {
  std::vector<Tensor> images, texts;
  std::vector<int64_t> labels;
  std::vector<LeftOut> left_out;
  double loss = 0;  // summed over pairs
  int64_t truncated = 0;
};

void add_pairs(const Clip& model, const Batch& batch, const Tensor& label, const Tensor& image,
               int64_t chunk, Pass& pass) {
  const Tensor text = text_features(model, batch.captions.to(model.device()), chunk);
  const auto B = static_cast<double>(batch.indices.size());
  pass.loss += B * model_loss(model, image, text, {label}).item();
  pass.texts.push_back(l2_normalize(text).to(Device::cpu));
  pass.truncated += batch.truncated;
}

Pass encode_all(const Clip& model, Loader& loader, const ValidationData& data,
                const ValidationOptions& o) {
  const int64_t chunk = o.chunk > 0 ? o.chunk : o.batch_size;
  const Tensor table = pixel_table(model.config().preprocess).to(model.device());
  Pass pass;
  loader.start(0);
  while (const auto batch = loader.next()) {
    for (const BadSample& bad : batch->bad) pass.left_out.push_back({bad.name, bad.reason});
    if (batch->indices.empty()) continue;
    const Tensor image = image_features(model, {batch->pixels.to(model.device()), table}, chunk);
    check_finite(image, "validation: the feature of picture");
    if (data.has_captions)
      add_pairs(model, *batch, positive_labels(o.positives, *batch, *data.dataset), image, chunk,
                pass);
    pass.images.push_back(l2_normalize(image).to(Device::cpu));
    if (o.progress) o.progress(static_cast<int64_t>(pass.labels.size() + batch->labels.size()));
    pass.labels.insert(pass.labels.end(), batch->labels.begin(), batch->labels.end());
  }
  return pass;
}

void check_left_out(const ValidationData& data, const Pass& pass, double most) {
  const auto bad = static_cast<int64_t>(pass.left_out.size());
  check(static_cast<double>(bad) <= most * static_cast<double>(data.dataset->size()) &&
            bad < data.dataset->size(),
        "validation: ", bad, " of ", data.dataset->size(), " pictures of '", data.spec,
        "' cannot be read, more than --max-bad-fraction ", most, "; the first is '",
        bad ? pass.left_out[0].name : "", "': ", bad ? pass.left_out[0].reason : "");
}

Accuracy accuracy_of(const Clip& model, const Tokenizer& words, const ValidationData& data,
                     const Tensor& images, const std::vector<int64_t>& labels) {
  const Tensor head =
      zero_shot_head(model, words, data.class_names, data.templates, Overflow::truncate);
  return accuracy(rank_classes(matmul(images, transpose(head.to(Device::cpu), 0, 1)), labels),
                  [](int64_t) { return true; });
}

}  // namespace

ValidationResult validate(Clip& model, const Tokenizer& words, const ValidationData& data,
                          const ValidationOptions& options) {
  const NoGrad no_grad;
  const Evaluating evaluating(model);
  Loader loader(*data.dataset, words, loader_options(model, options));
  const Pass pass = encode_all(model, loader, data, options);
  check_left_out(data, pass, options.max_bad_fraction);
  const Tensor images = cat(pass.images, 0);
  ValidationResult result;
  result.pictures = images.dim(0);
  result.left_out = data.left_out;
  result.left_out.insert(result.left_out.end(), pass.left_out.begin(), pass.left_out.end());
  result.truncated = pass.truncated;
  if (data.has_captions) {
    const Tensor texts = cat(pass.texts, 0);
    result.loss = pass.loss / static_cast<double>(result.pictures);
    result.image_to_text = recall(ranks(images, texts));
    result.text_to_image = recall(ranks(texts, images));
  }
  if (!data.class_names.empty())
    result.accuracy = accuracy_of(model, words, data, images, pass.labels);
  return result;
}

}  // namespace diptych
