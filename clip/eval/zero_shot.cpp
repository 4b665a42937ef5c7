// clip/eval/zero_shot.cpp — heads out of captions, and logits by them.
#include "clip/eval/zero_shot.h"

#include <cmath>
#include <filesystem>
#include <map>
#include <numeric>

#include "clip/eval/prompts.h"
#include "tensor/io/file.h"
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
  add(hash, "distinct");  // heads of before may be of names that were not
  hash.add(&overflow, sizeof overflow);
  add(hash, name(model.precision().precision));
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

namespace {

std::string hint(const Tokenizer& words, const std::string& text, int64_t context) {
  const auto tokens = words.tokenize(text, INT64_MAX, Overflow::error).size();
  if (static_cast<int64_t>(tokens) <= context)
    return "the tokenizer tells neither case nor spaces apart; name one of them otherwise";
  return "they differ behind the " + std::to_string(context) +
         " tokens this model reads; shorten them or the template";
}

void check_distinct(const Tokenizer& words, const std::vector<std::string>& names,
                    const std::string& prompt, int64_t context, Overflow overflow) {
  std::map<std::vector<int64_t>, std::string> seen;
  for (const std::string& name : names) {
    const std::string text = fill_prompt(prompt, name);
    const auto [first, is_new] = seen.emplace(words.tokenize(text, context, overflow), name);
    check(is_new || first->second == name, "labels: ", in_quotes(first->second), " and ",
          in_quotes(name), " are the same tokens in ", in_quotes(prompt), ": ",
          is_new || first->second == name ? "" : hint(words, text, context));
  }
}

}  // namespace

Tensor zero_shot_head(const Clip& model, const Tokenizer& words,
                      const std::vector<std::string>& names,
                      const std::vector<std::string>& templates, Overflow overflow) {
  const NoGrad no_grad;
  for (const std::string& prompt : templates)
    check_distinct(words, names, prompt, model.config().text.context_length, overflow);
  const std::vector<std::string> texts = filled_prompts(templates, names);
  const auto K = static_cast<int64_t>(names.size()), P = static_cast<int64_t>(templates.size());
  const Tensor features = l2_normalize(encode_texts(model, words, texts, overflow));
  return l2_normalize(mean(reshape(features, {K, P, features.dim(1)}), 1));
}

namespace {

std::string checksum(const Tensor& head) {
  const Tensor host = head.to(Device::cpu).contiguous();
  return sha256({static_cast<const char*>(host.raw()),
                 static_cast<size_t>(host.numel() * size_of(host.dtype()))});
}

/// The head in a file; undefined if it is not there yet, damaged, or not what was written.
Tensor read_head(const std::string& path, const Shape& shape) {
  try {
    const SafeTensors file = load_safetensors(path);
    const Tensor* head = file.find("head");
    const auto written = file.metadata.find("sha256");
    const bool whole = head && head->shape() == shape && written != file.metadata.end() &&
                       written->second == checksum(*head);
    return whole ? *head : Tensor();
  } catch (const Error&) {
    return {};
  }
}

}  // namespace

Tensor cached_zero_shot_head(const Clip& model, const Tokenizer& words,
                             const std::vector<std::string>& names,
                             const std::vector<std::string>& templates, const std::string& folder,
                             Overflow overflow) {
  if (folder.empty()) return zero_shot_head(model, words, names, templates, overflow);
  const std::string path =
      folder + '/' + fingerprint(model, words, names, templates, overflow) + ".safetensors";
  const Shape shape{static_cast<int64_t>(names.size()), model.config().embed_dim};
  if (const Tensor kept = read_head(path, shape); kept.defined()) return kept.to(model.device());
  const Tensor head = zero_shot_head(model, words, names, templates, overflow);
  try {
    std::filesystem::create_directories(folder);
    save_safetensors(path, {{"head", head}}, {{"sha256", checksum(head)}});
  } catch (const std::exception&) {  // a read-only folder only costs time
  }
  return head;
}

Tensor zero_shot_cosines(const Clip& model, const Tensor& head, const Tensor& pixels) {
  const NoGrad no_grad;
  return matmul(l2_normalize(encode_pixels(model, pixels)), transpose(head, 0, 1));
}

Tensor zero_shot_logits(const Clip& model, const Tensor& head, const Tensor& pixels) {
  const NoGrad no_grad;
  const Tensor logits = exp(model.logit_scale()) * zero_shot_cosines(model, head, pixels);
  check_finite(logits, "classify: row of logits");
  return logits;
}

}  // namespace diptych
