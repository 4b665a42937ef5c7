// clip/weights/names.cpp — renaming in both directions from one table.
#include "clip/weights/names.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "clip/weights/prefixes.h"
#include "tensor/factory.h"

namespace diptych {
namespace {

struct Alias {
  std::string_view openai, hugging_face;
};

// Beginnings of names. "pre_layrnorm" is spelled so in transformers.
constexpr Alias kBeginnings[] = {
    {"visual.class_embedding", "vision_model.embeddings.class_embedding"},
    {"visual.conv1.", "vision_model.embeddings.patch_embedding."},
    {"visual.positional_embedding", "vision_model.embeddings.position_embedding.weight"},
    {"visual.ln_pre.", "vision_model.pre_layrnorm."},
    {"visual.transformer.resblocks.", "vision_model.encoder.layers."},
    {"visual.ln_post.", "vision_model.post_layernorm."},
    {"visual.proj", "visual_projection.weight"},
    {"token_embedding.", "text_model.embeddings.token_embedding."},
    {"positional_embedding", "text_model.embeddings.position_embedding.weight"},
    {"transformer.resblocks.", "text_model.encoder.layers."},
    {"ln_final.", "text_model.final_layer_norm."},
    {"text_projection", "text_projection.weight"},
    {"logit_scale", "logit_scale"},
};

// Parts of names inside a block.
constexpr Alias kInBlock[] = {
    {".ln_1.", ".layer_norm1."},
    {".ln_2.", ".layer_norm2."},
    {".mlp.c_fc.", ".mlp.fc1."},
    {".mlp.c_proj.", ".mlp.fc2."},
    {".attn.out_proj.", ".self_attn.out_proj."},
};

constexpr std::array<std::string_view, 3> kProjections = {"q", "k", "v"};

bool is_hugging_face(std::string_view name) {
  return name.starts_with("text_model.") || name.starts_with("vision_model.");
}

bool is_projection(std::string_view name) {
  return name == "visual.proj" || name == "text_projection";
}

// By the last part of a name.
constexpr std::string_view kNoWeights[] = {"attn_mask", "position_ids", "input_resolution",
                                           "context_length", "vocab_size"};

void replace_part(std::string& name, std::string_view from, std::string_view to) {
  if (const size_t at = name.find(from); at != std::string::npos) name.replace(at, from.size(), to);
}

Tensor turned(const Tensor& x) { return x.transpose(0, 1).contiguous(); }

std::optional<std::string> openai_name(const std::string& name) {
  for (const Alias& alias : kBeginnings) {
    if (!name.starts_with(alias.hugging_face)) continue;
    std::string renamed = std::string(alias.openai) + name.substr(alias.hugging_face.size());
    for (const Alias& part : kInBlock) replace_part(renamed, part.hugging_face, part.openai);
    return renamed;
  }
  return std::nullopt;
}

std::string hugging_face_name(const std::string& name) {
  for (const Alias& alias : kBeginnings) {
    if (!name.starts_with(alias.openai)) continue;
    std::string renamed = std::string(alias.hugging_face) + name.substr(alias.openai.size());
    for (const Alias& part : kInBlock) replace_part(renamed, part.openai, part.hugging_face);
    return renamed;
  }
  fail("convert: '", name, "' has no name in Hugging Face's CLIPModel",
       name.starts_with("visual.") ? ", which has no ResNet" : "");
}

// "….self_attn.q_proj.weight" → {"….attn.in_proj_weight", 0}
struct Part {
  std::string whole;
  size_t index;
};

std::optional<Part> part_of(const std::string& name) {
  for (size_t i = 0; i < kProjections.size(); ++i) {
    const std::string key = ".self_attn." + std::string(kProjections[i]) + "_proj.";
    const size_t at = name.find(key);
    if (at == std::string::npos) continue;
    return Part{name.substr(0, at) + ".attn.in_proj_" + name.substr(at + key.size()), i};
  }
  return std::nullopt;
}

Tensor stacked(const std::string& name, const std::array<Tensor, 3>& parts) {
  for (size_t i = 0; i < parts.size(); ++i) {
    check(parts[i].defined() && parts[i].shape() == parts[0].shape(), "convert: '", name,
          "' is made of q, k and v of one shape; ", kProjections[i], " is missing or differs");
  }
  Shape shape = parts[0].shape();
  const int64_t rows = shape[0];
  shape[0] = 3 * rows;
  const Tensor whole = empty(shape, parts[0].dtype());
  for (int64_t i = 0; i < 3; ++i)
    whole.slice(0, i * rows, (i + 1) * rows).copy_(parts[static_cast<size_t>(i)]);
  return whole;
}

std::vector<NamedTensor> from_hugging_face(const std::vector<NamedTensor>& tensors) {
  std::vector<NamedTensor> renamed;
  std::map<std::string, std::array<Tensor, 3>> parts;
  for (const NamedTensor& t : tensors) {
    const std::string name = openai_name(t.name).value_or(t.name);
    if (const auto part = part_of(name)) {
      Tensor& place = parts[part->whole][part->index];
      check(!place.defined(), "convert: '", name, "' comes twice, under different prefixes");
      place = t.tensor;
    } else {
      renamed.push_back({name, is_projection(name) ? turned(t.tensor) : t.tensor});
    }
  }
  for (const auto& [name, three] : parts) renamed.push_back({name, stacked(name, three)});
  return renamed;
}

}  // namespace

bool is_weight(std::string_view name) {
  const std::string_view last = name.substr(name.rfind('.') + 1);
  return std::find(std::begin(kNoWeights), std::end(kNoWeights), last) == std::end(kNoWeights);
}

ModelTensors find_model(std::vector<NamedTensor> all) {
  const Prefixes prefixes(all);
  ModelTensors found;
  for (NamedTensor& x : all) {
    const auto name = prefixes.strip(x.name);
    if (!name) found.left_out.push_back(x.name);
    if (!name || !is_weight(*name)) continue;
    found.hugging_face = found.hugging_face || is_hugging_face(*name);
    found.tensors.push_back(std::move(x));
  }
  return found;
}

std::vector<NamedTensor> with_openai_names(const std::vector<NamedTensor>& tensors) {
  const Prefixes prefixes(tensors);
  std::vector<NamedTensor> kept;
  bool hugging_face = false;
  for (const NamedTensor& t : tensors) {
    const std::optional<std::string> name = prefixes.strip(t.name);
    if (!name || !is_weight(*name)) continue;
    hugging_face = hugging_face || is_hugging_face(*name);
    const bool scalar = (*name == "logit_scale" || *name == "logit_bias") && t.tensor.numel() == 1;
    kept.push_back({*name, scalar ? t.tensor.contiguous().view({}) : t.tensor});
  }
  return hugging_face ? from_hugging_face(kept) : kept;
}

std::vector<NamedTensor> with_hugging_face_names(const std::vector<NamedTensor>& tensors) {
  std::vector<NamedTensor> renamed;
  for (const NamedTensor& t : tensors) {
    const size_t at = t.name.find(".attn.in_proj_");
    if (at == std::string::npos) {
      renamed.push_back(
          {hugging_face_name(t.name), is_projection(t.name) ? turned(t.tensor) : t.tensor});
      continue;
    }
    const std::string block = hugging_face_name(t.name.substr(0, at));
    const std::string kind = t.name.substr(at + std::string_view(".attn.in_proj_").size());
    const int64_t rows = t.tensor.dim(0) / 3;
    for (int64_t i = 0; i < 3; ++i) {
      const std::string projection(kProjections[static_cast<size_t>(i)]);
      renamed.push_back({block + ".self_attn." + projection + "_proj." + kind,
                         t.tensor.slice(0, i * rows, (i + 1) * rows).contiguous()});
    }
  }
  return renamed;
}

}  // namespace diptych
