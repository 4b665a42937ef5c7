// clip/eval/zero_shot.cpp — heads out of captions, and logits by them.
#include "clip/eval/zero_shot.h"

#include <fmt/core.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <numeric>

#include "clip/eval/prompts.h"
#include "tensor/io/safetensors.h"

namespace diptych {
namespace {

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
  const Shape shape{static_cast<int64_t>(names.size()), model.config().embed_dim};
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

}  // namespace diptych
