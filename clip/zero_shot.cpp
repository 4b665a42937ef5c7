// clip/zero_shot.cpp — heads out of captions, and how often they are right.
#include "clip/zero_shot.h"

#include <fmt/core.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <numeric>

#include "clip/loss.h"
#include "clip/prompts.h"
#include "tensor/safetensors.h"

namespace diptych {
namespace {

constexpr int64_t kBatch = 128;

// Rows [begin, begin + kBatch) of n at a time.
Tensor in_batches(int64_t n, const std::function<Tensor(int64_t begin, int64_t end)>& encode) {
  std::vector<Tensor> parts;
  for (int64_t begin = 0; begin < n; begin += kBatch)
    parts.push_back(encode(begin, std::min(n, begin + kBatch)));
  return cat(parts, 0);
}

// FNV-1a over words of eight bytes: weights are long.
class Fnv {
 public:
  void add(const void* data, size_t bytes) {
    const auto* p = static_cast<const unsigned char*>(data);
    for (size_t i = 0; i < bytes; i += sizeof(uint64_t)) {
      uint64_t word = 0;
      std::memcpy(&word, p + i, std::min(sizeof word, bytes - i));
      hash_ = (hash_ ^ word) * 0x100000001b3u;
      hash_ ^= hash_ >> 32;  // a product moves bits up only
    }
  }
  void add(const std::string& s) { add(s.c_str(), s.size() + 1); }
  uint64_t value() const { return hash_; }

 private:
  uint64_t hash_ = 0xcbf29ce484222325u;
};

uint64_t fingerprint(const Clip& model, const Tokenizer& words,
                     const std::vector<std::string>& names,
                     const std::vector<std::string>& templates, Overflow overflow) {
  Fnv hash;
  hash.add(&overflow, sizeof overflow);
  hash.add(to_json(model.config()));
  hash.add(words.merges_text());
  for (const auto& s : templates) hash.add(s);
  for (const auto& s : names) hash.add(s);
  for (const auto& entry : model.state()) {
    const Tensor host = entry.tensor.to(Device::cpu);
    hash.add(host.raw(), static_cast<size_t>(host.numel() * size_of(host.dtype())));
  }
  return hash.value();
}

}  // namespace

void check_finite(const Tensor& pixels) {
  const Tensor rows = pixels.contiguous().view({pixels.dim(0), -1});
  const auto totals =
      sum(mul(rows, full({}, 0, rows.dtype())), 1).to_vector<double>();  // 0 · NaN = 0 · inf = NaN
  for (size_t i = 0; i < totals.size(); ++i) {
    check(!std::isnan(totals[i]), "pixels: picture ", i, " contains NaN or infinity");
  }
}

Tensor encode_texts(const Clip& model, const Tokenizer& words,
                    const std::vector<std::string>& texts, Overflow overflow) {
  check(!texts.empty(), "encode: there are no texts");
  const NoGrad no_grad;
  return in_batches(static_cast<int64_t>(texts.size()), [&](int64_t begin, int64_t end) {
    std::vector<int64_t> tokens, offsets{0};
    for (int64_t i = begin; i < end; ++i) {
      const auto ids = words.tokenize(texts[static_cast<size_t>(i)],
                                      model.config().text.context_length, overflow);
      tokens.insert(tokens.end(), ids.begin(), ids.end());
      offsets.push_back(static_cast<int64_t>(tokens.size()));
    }
    return model.encode_text(from_vector(tokens, {offsets.back()}),
                             from_vector(offsets, {end - begin + 1}));
  });
}

Tensor encode_pixels(const Clip& model, const Tensor& pixels) {
  check(pixels.rank() == 4 && pixels.dim(0) > 0,
        "encode: needs pixels (N, C, R, R) with N > 0, got ", pixels.shape());
  const NoGrad no_grad;
  check_finite(pixels);
  return in_batches(pixels.dim(0), [&](int64_t begin, int64_t end) {
    return model.encode_image(pixels.slice(0, begin, end));
  });
}

Tensor zero_shot_head(const Clip& model, const Tokenizer& words,
                      const std::vector<std::string>& names,
                      const std::vector<std::string>& templates, Overflow overflow) {
  const NoGrad no_grad;
  std::vector<std::string> texts;
  for (const auto& name : names) {
    for (const auto& prompt : templates) texts.push_back(fill_prompt(prompt, name));
  }
  const auto K = static_cast<int64_t>(names.size()), P = static_cast<int64_t>(templates.size());
  const Tensor features = l2_normalize(encode_texts(model, words, texts, overflow));
  return l2_normalize(mean(reshape(features, {K, P, features.dim(1)}), 1));
}

Tensor cached_zero_shot_head(const Clip& model, const Tokenizer& words,
                             const std::vector<std::string>& names,
                             const std::vector<std::string>& templates, const std::string& folder,
                             Overflow overflow) {
  if (folder.empty()) return zero_shot_head(model, words, names, templates, overflow);
  const std::string path = fmt::format("{}/{:016x}.safetensors", folder,
                                       fingerprint(model, words, names, templates, overflow));
  const Shape shape{static_cast<int64_t>(names.size()), model.config().embed_dim()};
  try {
    const SafeTensors file = load_safetensors(path);
    if (const Tensor* head = file.find("head"); head && head->shape() == shape) return *head;
  } catch (const Error&) {  // not there yet, or damaged: build it again
  }
  const Tensor head = zero_shot_head(model, words, names, templates, overflow);
  try {
    std::filesystem::create_directories(folder);
    save_safetensors(path, {{"head", head}});
  } catch (const std::exception&) {  // a read-only folder only costs time
  }
  return head;
}

Tensor zero_shot_logits(const Clip& model, const Tensor& head, const Tensor& pixels) {
  const NoGrad no_grad;
  const Tensor cosines = matmul(l2_normalize(encode_pixels(model, pixels)), transpose(head, 0, 1));
  return exp(model.logit_scale()) * cosines;
}

Predictions classify_dataset(const Clip& model, const Tensor& head, Loader& loader,
                             const std::function<void(int64_t)>& progress) {
  Predictions out;
  const auto K = static_cast<size_t>(head.dim(0));
  loader.start(0);
  while (const auto batch = loader.next()) {
    if (batch->indices.empty()) continue;
    const auto logits = zero_shot_logits(model, head, batch->pixels).to_vector<float>();
    for (size_t b = 0; b < batch->labels.size(); ++b) {
      const float* row = logits.data() + b * K;
      std::vector<int64_t> order(K);
      std::iota(order.begin(), order.end(), 0);
      const auto best = order.begin() + static_cast<std::ptrdiff_t>(std::min<size_t>(5, K));
      // Ties go to the smaller index, so that the ranking is a function of the numbers alone.
      std::partial_sort(order.begin(), best, order.end(), [row](int64_t i, int64_t j) {
        return row[i] != row[j] ? row[i] > row[j] : i < j;
      });
      out.ranked.emplace_back(order.begin(), best);
      out.labels.push_back(batch->labels[b]);
    }
    if (progress) progress(static_cast<int64_t>(out.labels.size()));
  }
  return out;
}

Accuracy accuracy(const Predictions& predictions, const std::function<bool(int64_t)>& include) {
  Accuracy result;
  std::map<int64_t, std::pair<double, double>> per_class;  // hits, pictures
  for (size_t i = 0; i < predictions.labels.size(); ++i) {
    const int64_t label = predictions.labels[i];
    if (!include(label)) continue;
    const auto& ranked = predictions.ranked[i];
    const bool first = ranked[0] == label;
    ++result.pictures;
    result.acc1 += first;
    result.acc5 += std::find(ranked.begin(), ranked.end(), label) != ranked.end();
    per_class[label].first += first;
    per_class[label].second += 1;
  }
  if (result.pictures == 0) return result;
  for (const auto& [label, count] : per_class)
    result.mean_per_class_recall += count.first / count.second;
  result.mean_per_class_recall /= static_cast<double>(per_class.size());
  result.acc1 /= static_cast<double>(result.pictures);
  result.acc5 /= static_cast<double>(result.pictures);
  return result;
}

}  // namespace diptych
