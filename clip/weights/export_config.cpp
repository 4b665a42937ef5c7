// clip/weights/export_config.cpp — our configuration in the words of others.
#include "clip/weights/export_config.h"

#include <nlohmann/json.hpp>

#include "clip/model.h"
#include "clip/weights/vocabulary.h"

namespace diptych {
namespace {

using Json = nlohmann::ordered_json;
using nn::Activation;

void need(bool ok, const char* library, const std::string& what) {
  check(ok, "convert: ", library, " has no word for ", what);
}

// ---- open_clip

// open_clip stores the factor, and the width as its product rounded down.
void add_open_clip_tower(const nn::TowerConfig& t, Json& json) {
  if (t.inside() != 4 * t.width)
    json["mlp_ratio"] = (static_cast<double>(t.inside()) + 0.5) / static_cast<double>(t.width);
  if (t.activation == Activation::gelu_tanh) json["act_kwargs"] = {{"approximate", "tanh"}};
  if (t.eps != 1e-5) json["norm_kwargs"] = {{"eps", t.eps}};
}

Json open_clip_vision(const nn::VitConfig& v, int64_t image_size) {
  const nn::TowerConfig& t = v.transformer;
  Json json{{"image_size", image_size},
            {"layers", t.layers},
            {"width", t.width},
            {"head_width", t.width / t.heads},
            {"patch_size", v.patch_size}};
  if (!v.pre_norm) json["no_ln_pre"] = true;
  if (v.pooling == nn::VisionPooling::average) {
    json["pool_type"] = "avg";
    json["final_ln_after_pool"] = v.norm_after_pooling;
  }
  add_open_clip_tower(t, json);
  return json;
}

Json open_clip_vision(const nn::ResNetConfig& r, int64_t image_size) {
  return {{"image_size", image_size},
          {"layers", r.layers},
          {"width", r.width},
          {"head_width", r.features() / r.heads},
          {"patch_size", nullptr}};
}

Json open_clip_text(const nn::TextConfig& text) {
  constexpr const char* kPoolings[] = {"argmax", "eos", "first", "last"};
  Json json{{"context_length", text.context_length},
            {"vocab_size", text.vocab_size},
            {"width", text.transformer.width},
            {"heads", text.transformer.heads},
            {"layers", text.transformer.layers}};
  if (!text.causal) json["no_causal_mask"] = true;
  if (text.pooling != nn::TextPooling::largest)
    json["pool_type"] = kPoolings[static_cast<size_t>(text.pooling)];
  if (text.pooling == nn::TextPooling::eos) json["eos_id"] = text.eos_id;
  add_open_clip_tower(text.transformer, json);
  return json;
}

bool is_quick(const ModelConfig& c) {
  const auto quick = [](const nn::TowerConfig& t) {
    return t.activation == Activation::quick_gelu;
  };
  const bool text = quick(c.text.transformer);
  need(!c.vit() || quick(c.vit()->transformer) == text, "open_clip",
       "QuickGELU in one of the towers alone");
  return text;
}

Json open_clip_pixels(const Preprocess& p) {
  const bool bicubic = p.interpolation == Interpolation::bicubic;
  need(bicubic || p.interpolation == Interpolation::bilinear, "open_clip",
       std::string("interpolation ") + name(p.interpolation));
  need(p.shortest == 0, "open_clip", "a crop smaller than the resized picture");
  return {{"mean", p.mean},
          {"std", p.std},
          {"interpolation", name(p.interpolation)},
          {"resize_mode", name(p.resize_mode)}};
}

// ---- Hugging Face

constexpr const char* kTheirs = "transformers' CLIPModel";

Json hugging_face_tower(const char* type, const nn::TowerConfig& tower, int64_t embed_dim) {
  const bool by_tanh = tower.activation == Activation::gelu_tanh;
  return {{"model_type", type},
          {"hidden_size", tower.width},
          {"intermediate_size", tower.inside()},
          {"num_hidden_layers", tower.layers},
          {"num_attention_heads", tower.heads},
          {"hidden_act", by_tanh ? "gelu_pytorch_tanh" : nn::name(tower.activation)},
          {"layer_norm_eps", tower.eps},
          {"projection_dim", embed_dim}};
}

// Without a tokenizer only OpenAI's end token is known. 2 is transformers' word for the rule we
// have: the largest id of a caption is its end.
int64_t end_of_text(const nn::TextConfig& text, const Tokenizer* tokenizer) {
  need(text.ends_where_read(), kTheirs,
       "a text tower that is not causal or does not read the end token");
  if (text.pooling == nn::TextPooling::eos) {
    need(text.eos_id != 2, kTheirs, "end token 2");
    return text.eos_id;
  }
  if (tokenizer) return tokenizer->end_token();
  return text.vocab_size == kOpenAiVocabulary ? kOpenAiVocabulary - 1 : 2;
}

const nn::VitConfig& hugging_face_vit(const ModelConfig& c) {
  check(c.vit() != nullptr, "convert: Hugging Face's CLIPModel has no ResNet");
  need(c.vit()->pooling == nn::VisionPooling::token, kTheirs, "averages of patches");
  need(c.vit()->pre_norm, kTheirs, "an image tower without a norm before its blocks");
  return *c.vit();
}

}  // namespace

std::string open_clip_config(const ModelConfig& c) {
  need(c.text.type != nn::TextType::cbow, "open_clip", "a bag of words as text tower");
  Json model{
      {"embed_dim", c.embed_dim},
      {"quick_gelu", is_quick(c)},
      {"vision_cfg",
       std::visit([&c](const auto& v) { return open_clip_vision(v, c.image_size()); }, c.vision)},
      {"text_cfg", open_clip_text(c.text)}};
  if (c.logit_bias) model["init_logit_bias"] = kFirstLogitBias;
  if (!c.foreign_tokenizer.empty()) model["text_cfg"]["hf_tokenizer_name"] = c.foreign_tokenizer;
  return Json{{"model_cfg", model}, {"preprocess_cfg", open_clip_pixels(c.preprocess)}}.dump(2) +
         '\n';
}

std::string hugging_face_config(const ModelConfig& c, const Tokenizer* tokenizer) {
  need(c.text.type != nn::TextType::cbow, kTheirs, "a bag of words as text tower");
  need(!c.logit_bias, kTheirs, "the bias of a sigmoid loss");
  const nn::VitConfig& v = hugging_face_vit(c);
  const int64_t end = end_of_text(c.text, tokenizer);
  Json words = hugging_face_tower("clip_text_model", c.text.transformer, c.embed_dim);
  words.update({{"vocab_size", c.text.vocab_size},
                {"max_position_embeddings", c.text.context_length},
                {"bos_token_id", end - 1},
                {"eos_token_id", end},
                {"pad_token_id", end}});
  Json vision = hugging_face_tower("clip_vision_model", v.transformer, c.embed_dim);
  vision.update({{"image_size", c.image_size()},
                 {"patch_size", v.patch_size},
                 {"num_channels", c.channels()}});
  return Json{{"architectures", {"CLIPModel"}},
              {"model_type", "clip"},
              {"projection_dim", c.embed_dim},
              {"text_config", words},
              {"vision_config", vision}}
             .dump(2) +
         '\n';
}

std::string hugging_face_preprocessor(const ModelConfig& c) {
  const Preprocess& p = c.preprocess;
  need(p.resize_mode != ResizeMode::longest, "transformers' CLIPImageProcessor",
       "resize mode longest");
  const Json square{{"height", p.size}, {"width", p.size}};
  const Json shortest{{"shortest_edge", std::max(p.size, p.shortest)}};
  return Json{{"image_processor_type", "CLIPImageProcessor"},
              {"do_resize", true},
              {"size", p.resize_mode == ResizeMode::squash ? square : shortest},
              {"resample", static_cast<int>(p.interpolation)},
              {"do_center_crop", true},
              {"crop_size", square},
              {"do_convert_rgb", true},
              {"do_rescale", true},
              {"do_normalize", true},
              {"image_mean", p.mean},
              {"image_std", p.std}}
             .dump(2) +
         '\n';
}

}  // namespace diptych
