// clip/eval/zero_shot.cpp — heads out of captions, and logits by them.
#include "clip/eval/zero_shot.h"

#include <cmath>
#include <filesystem>
#include <map>
#include <numeric>

#include "clip/eval/prompts.h"
#include "tensor/io/safetensors.h"
#include "tensor/io/sha256.h"

namespace diptych {
namespace {

void add(Sha256& hash, std::string_view text) {
  const auto size = static_cast<int64_t>(text.size());
  hash.add(&size, sizeof size);
  hash.add(text.data(), size);
}

void add(Sha256& hash, const std::vector<std::string>& texts) {
  const auto count = static_cast<int64_t>(texts.size());
  hash.add(&count, sizeof count);
  for (const std::string& text : texts) add(hash, text);
}

/// Of everything a head depends on.
std::string fingerprint(const Clip& model, const Tokenizer& words,
                        const std::vector<std::string>& names,
                        const std::vector<std::string>& templates, Overflow overflow) {
  Sha256 hash;
  hash.add(&overflow, sizeof overflow);
  add(hash, to_json(model.config()));
  add(hash, words.merges_text());
  add(hash, templates);
  add(hash, names);
  for (const NamedTensor& value : model.state_dict()) {
    const Tensor host = value.tensor.to(Device::cpu);
    hash.add(host.raw(), host.numel() * size_of(host.dtype()));
  }
  return hash.hex();
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
  const std::string path =
      folder + '/' + fingerprint(model, words, names, templates, overflow) + ".safetensors";
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
