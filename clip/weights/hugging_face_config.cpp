// clip/weights/hugging_face_config.cpp — the table of config.json's keys.
#include "clip/weights/hugging_face_config.h"

#include <nlohmann/json.hpp>

namespace diptych {
namespace {

using Reading::harmless;
using Reading::refused;
using Reading::supported;
using Json = nlohmann::ordered_json;

constexpr const char* kFile = "config.json";
constexpr int64_t kOldEos = 2;  // what transformers wrote before 4.31, whatever the vocabulary

// Written into every part of a configuration by transformers of some version, read by no CLIPModel.
constexpr const char* kBookkeeping[] = {"_name_or_path",
                                        "_commit_hash",
                                        "_attn_implementation",
                                        "_attn_implementation_autoset",
                                        "_experts_implementation",
                                        "_output_attentions",
                                        "architectures",
                                        "attn_implementation",
                                        "auto_map",
                                        "chunk_size_feed_forward",
                                        "decoder_start_token_id",
                                        "dtype",
                                        "finetuning_task",
                                        "gradient_checkpointing",
                                        "id2label",
                                        "is_composition",
                                        "is_decoder",
                                        "is_encoder_decoder",
                                        "label2id",
                                        "name_or_path",
                                        "output_attentions",
                                        "output_hidden_states",
                                        "prefix",
                                        "problem_type",
                                        "return_dict",
                                        "sep_token_id",
                                        "task_specific_params",
                                        "tf_legacy_loss",
                                        "tie_encoder_decoder",
                                        "tie_word_embeddings",
                                        "tokenizer_class",
                                        "torch_dtype",
                                        "torchscript",
                                        "transformers_version",
                                        "use_bfloat16",
                                        "use_return_dict"};
// Settings of GenerationMixin, which CLIP has not.
constexpr const char* kGeneration[] = {"add_cross_attention",
                                       "bad_words_ids",
                                       "begin_suppress_tokens",
                                       "cross_attention_hidden_size",
                                       "diversity_penalty",
                                       "do_sample",
                                       "early_stopping",
                                       "encoder_no_repeat_ngram_size",
                                       "exponential_decay_length_penalty",
                                       "forced_bos_token_id",
                                       "forced_eos_token_id",
                                       "length_penalty",
                                       "max_length",
                                       "min_length",
                                       "no_repeat_ngram_size",
                                       "num_beam_groups",
                                       "num_beams",
                                       "num_return_sequences",
                                       "output_scores",
                                       "remove_invalid_values",
                                       "repetition_penalty",
                                       "return_dict_in_generate",
                                       "suppress_tokens",
                                       "temperature",
                                       "top_k",
                                       "top_p",
                                       "typical_p",
                                       "use_cache"};
constexpr const char* kTraining[] = {"attention_dropout", "dropout", "initializer_factor",
                                     "initializer_range"};

void add_harmless(const std::string& prefix, std::vector<ConfigKey>& keys) {
  for (const char* key : kBookkeeping)
    keys.push_back({prefix + key, harmless, "null", "written for Python"});
  for (const char* key : kGeneration)
    keys.push_back({prefix + key, harmless, "null", "of generating text, which CLIP does not"});
  for (const char* key : kTraining) keys.push_back({prefix + key, harmless, "null", "of training"});
  keys.push_back({prefix + "pruned_heads", refused, "{}", "towers with heads removed"});
  keys.push_back({prefix + "quantization_config", refused, "null", "weights in packed integers"});
}

nn::Activation activation_of(const ConfigValue& v) {
  const std::string name = v.text();
  if (name == "quick_gelu") return nn::Activation::quick_gelu;
  if (name == "gelu" || name == "gelu_python") return nn::Activation::gelu;
  for (const char* by_tanh : {"gelu_new", "gelu_pytorch_tanh", "gelu_fast"})
    if (name == by_tanh) return nn::Activation::gelu_tanh;
  v.refuse("only quick_gelu, gelu and its approximation by tanh are supported");
}

using Tower = nn::TowerConfig& (*)(ModelConfig&);

/// The keys that both towers have.
std::vector<ConfigKey> tower_keys(const std::string& p, Tower tower, const char* width,
                                  const char* inside, const char* heads) {
  std::vector<ConfigKey> keys = {
      {p + "hidden_size", supported, width, "compared with the tensors",
       [tower](const ConfigValue& v, ModelConfig& c) { v.expect(tower(c).width); }},
      {p + "intermediate_size", supported, inside, "compared with the tensors",
       [tower](const ConfigValue& v, ModelConfig& c) { v.expect(tower(c).inside()); }},
      {p + "num_hidden_layers", supported, "12", "compared with the tensors",
       [tower](const ConfigValue& v, ModelConfig& c) { v.expect(tower(c).layers); }},
      {p + "num_attention_heads", supported, heads, "of attention",
       [tower](const ConfigValue& v, ModelConfig& c) {
         if (tower(c).width % v.size() != 0)
           v.refuse("they do not divide the width, " + std::to_string(tower(c).width));
         tower(c).heads = v.size();
       }},
      {p + "hidden_act", supported, "\"quick_gelu\"",
       "quick_gelu; gelu; its approximation: gelu_new, gelu_pytorch_tanh, gelu_fast",
       [tower](const ConfigValue& v, ModelConfig& c) { tower(c).activation = activation_of(v); }},
      {p + "layer_norm_eps", supported, "1e-5", "of the layer norms",
       [tower](const ConfigValue& v, ModelConfig& c) { tower(c).eps = v.positive(); }},
      {p + "projection_dim", harmless, "512", "CLIPModel reads the one at the top"},
      {p + "model_type", harmless, "null", "the one at the top counts"},
  };
  add_harmless(p, keys);
  return keys;
}

void set_eos(const ConfigValue& v, ModelConfig& c) {
  const int64_t id = v.whole();
  c.text.pooling = id == kOldEos ? nn::TextPooling::largest : nn::TextPooling::eos;
  c.text.eos_id = id == kOldEos ? 0 : id;
}

std::vector<ConfigKey> text_keys() {
  const std::string p = "text_config.";
  std::vector<ConfigKey> keys = tower_keys(
      p, [](ModelConfig& c) -> nn::TowerConfig& { return c.text.transformer; }, "512", "2048", "8");
  keys.push_back({p + "vocab_size", supported, "49408", "compared with the tensors",
                  [](const ConfigValue& v, ModelConfig& c) { v.expect(c.text.vocab_size); }});
  keys.push_back({p + "max_position_embeddings", supported, "77", "compared with the tensors",
                  [](const ConfigValue& v, ModelConfig& c) { v.expect(c.text.context_length); }});
  keys.push_back({p + "eos_token_id", supported, "49407",
                  "the first token of this id is read; 2, an old mistake, means the largest id",
                  set_eos});
  keys.push_back({p + "bos_token_id", harmless, "49406", "captions come with their first token"});
  keys.push_back({p + "pad_token_id", harmless, "1", "nothing sees what follows the end"});
  return keys;
}

std::vector<ConfigKey> vision_keys() {
  const std::string p = "vision_config.";
  std::vector<ConfigKey> keys = tower_keys(
      p, [](ModelConfig& c) -> nn::TowerConfig& { return c.vit()->transformer; }, "768", "3072",
      "12");
  keys.push_back({p + "image_size", supported, "224", "R; compared with the tensors",
                  [](const ConfigValue& v, ModelConfig& c) { v.expect(c.image_size()); }});
  keys.push_back({p + "patch_size", supported, "32", "compared with the tensors",
                  [](const ConfigValue& v, ModelConfig& c) { v.expect(c.vit()->patch_size); }});
  keys.push_back({p + "num_channels", supported, "3", "compared with the tensors",
                  [](const ConfigValue& v, ModelConfig& c) { v.expect(c.channels()); }});
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"})
    keys.push_back({p + key, harmless, "null", "pictures have no tokens"});
  return keys;
}

std::vector<ConfigKey> top_keys() {
  std::vector<ConfigKey> keys = {
      {"model_type", refused, "\"clip\"", "another architecture"},
      {"projection_dim", supported, "512", "E; compared with the tensors",
       [](const ConfigValue& v, ModelConfig& c) { v.expect(c.embed_dim); }},
      {"logit_scale_init_value", harmless, "2.6592", "where training starts"},
  };
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"})
    keys.push_back({key, harmless, "null", "CLIPModel reads text_config's"});
  add_harmless("", keys);
  return keys;
}

ConfigFormat make_format() {
  ConfigFormat format{kFile, {}};
  for (const auto& keys : {top_keys(), text_keys(), vision_keys()})
    format.keys.insert(format.keys.end(), keys.begin(), keys.end());
  return format;
}

// As in transformers' CLIPConfig: a text_config_dict that is not null takes the place of
// text_config.
std::string without_old_names(const std::string& text) {
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return text;
  bool changed = false;
  for (const char* name : {"text_config", "vision_config"}) {
    const auto old = json.find(std::string(name) + "_dict");
    if (old == json.end()) continue;
    if (!old->is_null()) json[name] = *old;
    json.erase(std::string(name) + "_dict");
    changed = true;
  }
  return changed ? json.dump() : text;
}

// CLIPVisionModelWithProjection and CLIPTextModelWithProjection write the part of their tower
// alone.
std::string as_part(const std::string& text, const ModelConfig& c) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  const std::string tower = c.has_image() ? "vision" : "text";
  if (c.towers == Towers::both || !json.is_object()) return text;
  const auto type = json.find("model_type"), projection = json.find("projection_dim");
  if (type == json.end() || *type != "clip_" + tower + "_model") return text;
  Json whole{{"model_type", "clip"}, {tower + "_config", json}};
  if (projection != json.end()) whole["projection_dim"] = *projection;
  return whole.dump();
}

}  // namespace

const ConfigFormat& hugging_face_format() {
  static const ConfigFormat format = make_format();
  return format;
}

void apply_hugging_face_config(const std::string& text, ModelConfig& c) {
  check(c.vit() != nullptr, kFile, ": Hugging Face's CLIP has no ResNet");
  apply_config(hugging_face_format(), as_part(without_old_names(text), c), c);
}

}  // namespace diptych
