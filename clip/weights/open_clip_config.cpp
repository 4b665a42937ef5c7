// clip/weights/open_clip_config.cpp — the table of open_clip's keys.
#include "clip/weights/open_clip_config.h"

#include <cmath>
#include <nlohmann/json.hpp>

namespace diptych {
namespace {

using Reading::harmless;
using Reading::refused;
using Reading::supported;

constexpr const char* kFile = "open_clip_config.json";

// Applies f to the image tower if it is a ViT: open_clip's ResNet reads none of these keys.
template <class F>
auto of_vit(const F& f) {
  return [f](const ConfigValue& v, ModelConfig& c) {
    if (c.vit()) f(v, *c.vit());
  };
}

void check_vision_layers(const ConfigValue& v, ModelConfig& c) {
  if (v.is_list() != (c.resnet() != nullptr))
    v.refuse(
        "the tensors are those of the other kind of image tower; the configuration belongs to "
        "another model");
  if (c.vit()) return v.expect(c.vit()->transformer.layers);
  if (v.four_sizes() != c.resnet()->layers) v.refuse("the tensors have other blocks");
}

void check_vision_width(const ConfigValue& v, ModelConfig& c) {
  v.expect(c.vit() ? c.vit()->transformer.width : c.resnet()->width);
}

void set_vision_heads(const ConfigValue& v, ModelConfig& c) {
  const int64_t width = c.vit() ? c.vit()->transformer.width : c.resnet()->features();
  const int64_t heads = width / v.size();
  if (heads < 1 || width % heads != 0)
    v.refuse("the tower is " + std::to_string(width) + " wide, which this does not divide");
  (c.vit() ? c.vit()->transformer.heads : std::get<nn::ResNetConfig>(c.vision).heads) = heads;
}

void set_text_heads(const ConfigValue& v, ModelConfig& c) {
  if (c.text.transformer.width % v.size() != 0)
    v.refuse("they do not divide the width, " + std::to_string(c.text.transformer.width));
  c.text.transformer.heads = v.size();
}

// open_clip's own arithmetic, for the width inside the MLP.
void check_mlp_ratio(const ConfigValue& v, const nn::TowerConfig& tower) {
  const double inside = static_cast<double>(tower.width) * v.number();
  if (std::floor(inside) != static_cast<double>(tower.inside()))
    v.refuse("the tensors have " + std::to_string(tower.inside()) + " inside the MLP");
}

void set_approximate(const ConfigValue& v, nn::TowerConfig& tower) {
  if (v.json() == "\"none\"") return;
  if (v.json() != "\"tanh\"" || tower.activation != nn::Activation::gelu)
    v.refuse("only \"none\" and \"tanh\" are known, and QuickGELU has neither");
  tower.activation = nn::Activation::gelu_tanh;
}

void set_eps(const ConfigValue& v, nn::TowerConfig& tower) { tower.eps = v.positive(); }

void set_vision_pooling(const ConfigValue& v, nn::VitConfig& vit) {
  if (v.text() != "tok" && v.text() != "avg") v.refuse("only \"tok\" and \"avg\" are supported");
  vit.pooling = v.text() == "avg" ? nn::VisionPooling::average : nn::VisionPooling::token;
}

// One token has one norm: the order matters to averages alone.
void set_norm_after_pooling(const ConfigValue& v, nn::VitConfig& vit) {
  const bool after = v.boolean();
  vit.norm_after_pooling = after || vit.pooling == nn::VisionPooling::token;
}

constexpr std::pair<const char*, nn::TextPooling> kTextPoolings[] = {
    {"argmax", nn::TextPooling::largest},
    {"eos", nn::TextPooling::eos},
    {"first", nn::TextPooling::first},
    {"last", nn::TextPooling::last}};

void set_text_pooling(const ConfigValue& v, ModelConfig& c) {
  for (const auto& [name, pooling] : kTextPoolings) {
    if (v.text() == name) {
      c.text.pooling = pooling;
      return;
    }
  }
  v.refuse("only \"argmax\", \"eos\", \"first\" and \"last\" are supported");
}

void set_tokenizer(const ConfigValue& v, ModelConfig& c) {
  if (!v.is_null()) c.foreign_tokenizer = v.text();
}

void set_tokenizer_settings(const ConfigValue& v, ModelConfig& c) {
  if (!v.is_null() && v.json() != "{}" && c.foreign_tokenizer.empty())
    c.foreign_tokenizer = v.path() + ' ' + v.json();
}

void set_interpolation(const ConfigValue& v, ModelConfig& c) {
  // "random" is of training; open_clip evaluates by bicubic then.
  if (v.text() != "bicubic" && v.text() != "bilinear" && v.text() != "random")
    v.refuse("only \"bicubic\", \"bilinear\" and \"random\" exist");
  c.preprocess.interpolation =
      v.text() == "bilinear" ? Interpolation::bilinear : Interpolation::bicubic;
}

void check_fill_color(const ConfigValue& v, ModelConfig& c) {
  if (c.preprocess.resize_mode == ResizeMode::longest && v.whole() != 0)
    v.refuse("only 0 is supported: black margins");
}

std::vector<ConfigKey> model_keys() {
  return {
      {"model_cfg.embed_dim", supported, "null", "E; compared with the tensors",
       [](const ConfigValue& v, ModelConfig& c) { v.expect(c.embed_dim); }},
      {"model_cfg.quick_gelu", supported, "false", "QuickGELU instead of GELU, in both towers",
       [](const ConfigValue& v, ModelConfig& c) {
         c.set_activation(v.boolean() ? nn::Activation::quick_gelu : nn::Activation::gelu);
       }},
      {"model_cfg.custom_text", harmless, "false", "names of tensors, which tell by themselves"},
      {"model_cfg.init_logit_scale", harmless, "null", "where training starts"},
      {"model_cfg.init_logit_bias", supported, "null", "the bias of a sigmoid loss",
       [](const ConfigValue& v, ModelConfig& c) {
         if (!v.is_null() && !c.logit_bias) v.refuse("the tensors have none");
       }},
      {"model_cfg.nonscalar_logit_scale", harmless, "false", "shape of one number"},
      {"model_cfg.cast_dtype", harmless, "null", "the tensors have their own types"},
      {"model_cfg.output_dict", harmless, "false", "how Python gets the features"},
      {"model_cfg.multimodal_cfg", refused, "null", "CoCa's decoder"},
  };
}

std::vector<ConfigKey> vision_keys() {
  const std::string p = "model_cfg.vision_cfg.";
  std::vector<ConfigKey> keys = {
      {p + "timm_model_name", refused, "null", "an image tower of the library timm"},
      {p + "layers", supported, "12", "compared with the tensors; four numbers: a ResNet",
       check_vision_layers},
      {p + "width", supported, "768", "compared with the tensors", check_vision_width},
      {p + "head_width", supported, "64", "heads = width / head_width", set_vision_heads},
      {p + "image_size", supported, "224", "R; compared with the tensors",
       [](const ConfigValue& v, ModelConfig& c) {
         if (v.side() != c.image_size())
           v.refuse("the tensors are made for " + std::to_string(c.image_size()));
       }},
      {p + "patch_size", supported, "16", "compared with the tensors",
       of_vit([](const ConfigValue& v, nn::VitConfig& vit) { v.expect(vit.patch_size); }),
       /*nullable=*/true},
      {p + "mlp_ratio", supported, "4.0", "compared with the tensors",
       of_vit(
           [](const ConfigValue& v, nn::VitConfig& vit) { check_mlp_ratio(v, vit.transformer); })},
      {p + "no_ln_pre", supported, "false", "no norm before the blocks; compared with the tensors",
       of_vit([](const ConfigValue& v, nn::VitConfig& vit) {
         if (v.boolean() == vit.pre_norm) v.refuse("the tensors say otherwise");
       })},
      {p + "pool_type", supported, "\"tok\"", "\"tok\": the class token; \"avg\": mean of patches",
       of_vit(set_vision_pooling)},
      {p + "final_ln_after_pool", supported, "false", "norm of the mean, or mean of the norms",
       of_vit(set_norm_after_pooling)},
      {p + "act_kwargs.approximate", supported, "\"none\"", "\"tanh\": GELU's approximation",
       of_vit(
           [](const ConfigValue& v, nn::VitConfig& vit) { set_approximate(v, vit.transformer); })},
      {p + "norm_kwargs.eps", supported, "1e-5", "of the layer norms",
       of_vit([](const ConfigValue& v, nn::VitConfig& vit) { set_eps(v, vit.transformer); })},
      {p + "patch_dropout", harmless, "0.0", "of training"},
      {p + "pos_embed_type", harmless, "\"learnable\"", "the file holds the positions either way"},
      {p + "attentional_pool", refused, "false", "pooling by a layer of attention"},
      {p + "attn_pooler_queries", harmless, "256", "read with attentional_pool only"},
      {p + "attn_pooler_heads", harmless, "8", "read with attentional_pool only"},
      {p + "ls_init_value", refused, "null", "layer scale"},
      {p + "output_tokens", refused, "false", "features of every patch, for CoCa"},
  };
  for (const char* key : {"model_pretrained", "pool", "proj", "proj_bias", "drop", "drop_path"})
    keys.push_back({p + "timm_" + key, harmless, "null", "read with timm_model_name only"});
  return keys;
}

std::vector<ConfigKey> text_keys() {
  const std::string p = "model_cfg.text_cfg.";
  std::vector<ConfigKey> keys = {
      {p + "hf_model_name", refused, "null", "a text tower of the library transformers"},
      {p + "context_length", supported, "77", "compared with the tensors",
       [](const ConfigValue& v, ModelConfig& c) { v.expect(c.text.context_length); }},
      {p + "vocab_size", supported, "49408", "compared with the tensors",
       [](const ConfigValue& v, ModelConfig& c) { v.expect(c.text.vocab_size); }},
      {p + "width", supported, "512", "compared with the tensors",
       [](const ConfigValue& v, ModelConfig& c) { v.expect(c.text.transformer.width); }},
      {p + "layers", supported, "12", "compared with the tensors",
       [](const ConfigValue& v, ModelConfig& c) { v.expect(c.text.transformer.layers); }},
      {p + "heads", supported, "8", "of attention", set_text_heads},
      {p + "mlp_ratio", supported, "4.0", "compared with the tensors",
       [](const ConfigValue& v, ModelConfig& c) { check_mlp_ratio(v, c.text.transformer); }},
      {p + "no_causal_mask", supported, "false", "every token sees every other, padding too",
       [](const ConfigValue& v, ModelConfig& c) { c.text.causal = !v.boolean(); }},
      {p + "pool_type", supported, "\"argmax\"",
       "the token that is read: of the largest id, \"eos\", \"first\", \"last\"", set_text_pooling},
      {p + "eos_id", supported, "2", "for pool_type \"eos\"",
       [](const ConfigValue& v, ModelConfig& c) { c.text.eos_id = v.whole(); }},
      {p + "final_ln_after_pool", harmless, "false", "one token is read: the same either way"},
      {p + "act_kwargs.approximate", supported, "\"none\"", "\"tanh\": GELU's approximation",
       [](const ConfigValue& v, ModelConfig& c) { set_approximate(v, c.text.transformer); }},
      {p + "norm_kwargs.eps", supported, "1e-5", "of the layer norms",
       [](const ConfigValue& v, ModelConfig& c) { set_eps(v, c.text.transformer); }},
      {p + "hf_tokenizer_name", supported, "null",
       "a tokenizer that is not here: texts are refused", set_tokenizer},
      {p + "tokenizer_kwargs", supported, "null", "likewise, unless empty", set_tokenizer_settings},
      {p + "tokenizer_mode", supported, "null", "likewise", set_tokenizer_settings},
      {p + "pad_id", harmless, "0", "the tokenizer pads with 0; read with embed_cls only"},
      {p + "embed_cls", refused, "false", "CoCa's class token"},
      {p + "proj_bias", refused, "false", "a bias of the projection"},
      {p + "proj_type", refused, "\"linear\"", "no projection"},
      {p + "output_tokens", refused, "false", "features of every token, for CoCa"},
      {p + "ls_init_value", refused, "null", "layer scale"},
  };
  for (const char* key : {"pretrained", "proj_type", "pooler_type"})
    keys.push_back({p + "hf_" + (key == std::string("pretrained") ? "model_pretrained" : key),
                    harmless, "null", "read with hf_model_name only"});
  return keys;
}

std::vector<ConfigKey> block_keys(const std::string& tower) {
  const std::string p = "model_cfg." + tower + '.';
  std::vector<ConfigKey> keys = {{p + "block_type", refused, "null", "another residual block"}};
  for (const char* key : {"qk_norm", "scaled_cosine_attn", "scale_heads", "scale_attn_inner",
                          "scale_attn", "scale_fc"})
    keys.push_back({p + key, refused, "false", "another residual block"});
  return keys;
}

std::vector<ConfigKey> preprocess_keys() {
  const std::string p = "preprocess_cfg.";
  return {
      {p + "size", supported, "null", "compared with image_size",
       [](const ConfigValue& v, ModelConfig& c) {
         if (!v.is_null() && v.side() != c.image_size())
           v.refuse("image_size is " + std::to_string(c.image_size()));
       }},
      {p + "mode", refused, "\"RGB\"", "other colours"},
      {p + "mean", supported, "[0.48145466, 0.4578275, 0.40821073]", "of the pixels",
       [](const ConfigValue& v, ModelConfig& c) { c.preprocess.mean = v.triple(); }},
      {p + "std", supported, "[0.26862954, 0.26130258, 0.27577711]", "of the pixels",
       [](const ConfigValue& v, ModelConfig& c) { c.preprocess.std = v.positive_triple(); }},
      {p + "resize_mode", supported, "\"shortest\"", "\"shortest\", \"longest\" or \"squash\"",
       [](const ConfigValue& v, ModelConfig& c) {
         c.preprocess.resize_mode = resize_mode_from(v.text());
       }},
      {p + "interpolation", supported, "\"bicubic\"", "or \"bilinear\"", set_interpolation},
      {p + "fill_color", supported, "0", "of the margins of \"longest\"", check_fill_color},
  };
}

ConfigFormat make_format() {
  ConfigFormat format{kFile, {}};
  for (const auto& keys : {model_keys(), vision_keys(), block_keys("vision_cfg"), text_keys(),
                           block_keys("text_cfg"), preprocess_keys()})
    format.keys.insert(format.keys.end(), keys.begin(), keys.end());
  return format;
}

// model_configs/*.json hold what open_clip_config.json calls model_cfg.
std::string with_model_cfg(const std::string& text) {
  const auto json = nlohmann::ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  const bool bare = json.is_object() && !json.contains("model_cfg") && json.contains("vision_cfg");
  return bare ? "{\"model_cfg\": " + text + '}' : text;
}

}  // namespace

const ConfigFormat& open_clip_format() {
  static const ConfigFormat format = make_format();
  return format;
}

void apply_open_clip_config(const std::string& text, ModelConfig& c) {
  apply_config(open_clip_format(), with_model_cfg(text), c);
  check_usable(c.preprocess);
}

}  // namespace diptych
