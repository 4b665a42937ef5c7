// clip/loss.cpp — losses that tell which picture and which text belong together.
#include "clip/loss.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace diptych {
namespace {

constexpr const char* kPositives[] = {"none", "caption", "key"};

void check_features(const char* op, const Tensor& image, const Tensor& text) {
  check(image.rank() == 2 && image.shape() == text.shape(), op,
        ": needs image and text (B, E), got ", image.shape(), " and ", text.shape());
}

Tensor plain_loss(const Tensor& image, const Tensor& text, const Tensor& logit_scale) {
  const Tensor logits = logits_per_image(image, text, logit_scale);
  const Tensor diagonal = arange(logits.dim(0), DType::i64, logits.device());
  const Tensor rows = cross_entropy(logits, diagonal);
  const Tensor columns = cross_entropy(transpose(logits, 0, 1), diagonal);
  return (rows + columns) * 0.5;
}

int64_t tile_of(const LossOptions& options) { return options.tile > 0 ? options.tile : kLossTile; }

/// 0, 1, … for different values, equal ones for equal values.
template <class T>
Tensor numbered(const std::vector<T>& values) {
  std::map<T, int64_t> numbers;
  std::vector<int64_t> labels;
  for (const T& value : values)
    labels.push_back(numbers.emplace(value, static_cast<int64_t>(numbers.size())).first->second);
  return from_vector(labels, {static_cast<int64_t>(labels.size())});
}

Tensor labels_of(const Captions& captions) {
  const std::vector<int64_t> ids = captions.tokens.to_vector<int64_t>();
  const std::vector<int64_t>& ends = captions.layout.ends();
  std::vector<std::vector<int64_t>> sequences;
  for (size_t b = 0; b + 1 < ends.size(); ++b)
    sequences.emplace_back(ids.begin() + ends[b], ids.begin() + ends[b + 1]);
  return numbered(sequences);
}

/// How often each label stands there.
std::vector<double> times_of(const Tensor& label) {
  std::map<int64_t, double> times;
  for (const int64_t l : label.to_vector<int64_t>()) ++times[l];
  std::vector<double> counts;
  for (const auto& [l, m] : times) counts.push_back(m);
  return counts;
}

double sum_of(const std::vector<double>& counts, double (*f)(double m)) {
  double sum = 0;
  for (const double m : counts) sum += f(m);
  return sum;
}

/// Of n pairs with one logit, of which a share is right, the sigmoid loss at best.
double binary_entropy(double n, double share) {
  const double other = 1 - share;
  return share >= 1 ? 0 : -n * (share * std::log(share) + other * std::log(other));
}

}  // namespace

const char* name(Positives p) { return kPositives[static_cast<size_t>(p)]; }

Positives positives_from(const std::string& text) {
  for (const Positives p : {Positives::none, Positives::caption, Positives::key})
    if (text == name(p)) return p;
  fail("positives: there is no '", text, "' (known: none, caption, key)");
}

Tensor logits_per_image(const Tensor& image, const Tensor& text, const Tensor& logit_scale) {
  check_features("contrastive_loss", image, text);
  const Tensor cosines =
      matmul(l2_normalize(image), transpose(l2_normalize(text), 0, 1));  // (B, B)
  return exp(logit_scale) * cosines;
}

Tensor contrastive_loss(const Tensor& image, const Tensor& text, const Tensor& logit_scale,
                        const LossOptions& options) {
  check_features("contrastive_loss", image, text);
  if (options.tile == 0 && !options.label.defined() && image.dim(0) <= kLossTile)
    return plain_loss(image, text, logit_scale);
  return contrastive(l2_normalize(image), l2_normalize(text), exp(logit_scale), options.label,
                     tile_of(options));
}

Tensor sigmoid_loss(const Tensor& image, const Tensor& text, const Tensor& logit_scale,
                    const Tensor& logit_bias, const LossOptions& options) {
  check_features("sigmoid_loss", image, text);
  return contrastive_sigmoid(l2_normalize(image), l2_normalize(text), exp(logit_scale), logit_bias,
                             options.label, tile_of(options));
}

Tensor model_loss(const Clip& model, const Tensor& image, const Tensor& text,
                  const LossOptions& options) {
  if (!model.logit_bias().defined())
    return contrastive_loss(image, text, model.logit_scale(), options);
  return sigmoid_loss(image, text, model.logit_scale(), model.logit_bias(), options);
}

Tensor model_loss(const Clip& model, const Tensor& pixels, const Captions& captions,
                  const LossOptions& options) {
  return model_loss(model, model.encode_image(pixels), model.encode_text(captions), options);
}

Tensor positive_labels(Positives positives, const Batch& batch, const Dataset& dataset) {
  if (positives == Positives::none) return {};
  if (positives == Positives::caption) return labels_of(batch.captions);
  std::vector<std::string> keys;
  for (const int64_t index : batch.indices) keys.push_back(dataset.name_of(index));
  return numbered(keys);
}

// Of softmax: m rows with one caption share its probability at best, so they lose ln m each.
// Targets that m rows share have that entropy already. Of sigmoid: m² pairs have one logit, and m
// of them are right; if all are, nothing is lost. What a caption repeats and a key does not is left
// out.
LossBounds loss_bounds(const Captions& captions, const Tensor& label, bool sigmoid) {
  const auto B = static_cast<double>(captions.layout.count());
  if (B == 0) return {};
  const std::vector<double> alike = times_of(label.defined() ? label : labels_of(captions));
  const double per_row = 1 / B;
  if (!sigmoid)
    return {std::log(B), per_row * sum_of(alike, [](double m) { return m * std::log(m); })};
  const double right = label.defined() ? sum_of(alike, [](double m) { return m * m; }) : B;
  const double floor =
      label.defined() ? 0 : sum_of(alike, [](double m) { return binary_entropy(m * m, 1 / m); });
  return {per_row * binary_entropy(B * B, right / (B * B)), per_row * floor};
}

}  // namespace diptych
