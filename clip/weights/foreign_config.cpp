// clip/weights/foreign_config.cpp — open_clip's and Hugging Face's JSON. Both leave out what equals
// a default.
#include "clip/weights/foreign_config.h"

#include <nlohmann/json.hpp>

namespace diptych {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kHeadWidth = 64;

Json parse(const char* what, const std::string& text) {
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  check(json.is_object(), what, ": not a JSON object: ", text.substr(0, 60));
  return json;
}

/// json[key] or, if it is absent or null, `otherwise`.
template <class T>
T get(const Json& json, const char* key, T otherwise) {
  const auto it = json.find(key);
  if (it == json.end() || it->is_null()) return otherwise;
  try {
    return it->get<T>();
  } catch (const Json::exception&) {
    fail("config: '", key, "' has the wrong type: ", it->dump());
  }
}

Json object(const Json& json, const char* key) {
  const auto it = json.find(key);
  check(it != json.end() && it->is_object(), "config: no object '", key, "'");
  return *it;
}

int64_t positive(const Json& json, const char* key, int64_t otherwise) {
  const auto value = get(json, key, otherwise);
  check(value > 0 && value <= 1 << 20, "config: '", key, "' is ", value);
  return value;
}

nn::Activation hugging_face_activation(const Json& tower) {
  return nn::activation_from(get<std::string>(tower, "hidden_act", "quick_gelu"));
}

double hugging_face_eps(const Json& tower) { return get(tower, "layer_norm_eps", 1e-5); }

void apply_hugging_face_tower(const Json& json, int64_t heads, nn::TransformerSize& tower) {
  tower.heads = positive(json, "num_attention_heads", heads);
  check(tower.width % tower.heads == 0, "config: ", tower.heads, " heads do not divide the width, ",
        tower.width);
}

Json hugging_face_tower(const char* type, const nn::TransformerSize& tower, const ModelConfig& c) {
  return {{"model_type", type},
          {"hidden_size", tower.width},
          {"intermediate_size", tower.inside()},
          {"num_hidden_layers", tower.layers},
          {"num_attention_heads", tower.heads},
          {"hidden_act", nn::name(c.activation)},
          {"layer_norm_eps", c.layer_norm_eps},
          {"projection_dim", c.embed_dim}};
}

// open_clip stores the factor, and the width as its product rounded down.
double mlp_ratio(const nn::TransformerSize& tower) {
  return (static_cast<double>(tower.inside()) + 0.5) / static_cast<double>(tower.width);
}

Json open_clip_vision(const nn::VitConfig& v, int64_t image_size) {
  Json json{{"image_size", image_size},
            {"layers", v.transformer.layers},
            {"width", v.transformer.width},
            {"head_width", v.transformer.width / v.transformer.heads},
            {"patch_size", v.patch_size}};
  if (v.transformer.inside() != 4 * v.transformer.width)
    json["mlp_ratio"] = mlp_ratio(v.transformer);
  return json;
}

Json open_clip_vision(const nn::ResNetConfig& r, int64_t image_size) {
  return {{"image_size", image_size},
          {"layers", r.layers},
          {"width", r.width},
          {"head_width", r.features() / r.heads},
          {"patch_size", nullptr}};
}

void set_open_clip_heads(const Json& vision, ModelConfig& c) {
  const int64_t head_width = positive(vision, "head_width", kHeadWidth);
  if (auto* resnet = std::get_if<nn::ResNetConfig>(&c.vision)) {
    resnet->heads = resnet->features() / head_width;
  } else {
    c.vit()->transformer.heads = c.vit()->transformer.width / head_width;
  }
}

}  // namespace

void apply_hugging_face_config(const std::string& text, ModelConfig& c) {
  const Json json = parse("config.json", text);
  const Json words = object(json, "text_config"), vision = object(json, "vision_config");
  check(c.vit() != nullptr, "config.json: Hugging Face's CLIP has no ResNet");
  c.activation = hugging_face_activation(words);
  check(c.activation == hugging_face_activation(vision),
        "config.json: the towers have different activations, which is not supported");
  c.layer_norm_eps = hugging_face_eps(words);
  check(c.layer_norm_eps == hugging_face_eps(vision),
        "config.json: the towers have different layer_norm_eps, which is not supported");
  apply_hugging_face_tower(words, 8, c.text.transformer);
  apply_hugging_face_tower(vision, 12, c.vit()->transformer);
}

void apply_open_clip_config(const std::string& text, ModelConfig& c) {
  const Json json = parse("open_clip_config.json", text);
  const Json model = object(json, "model_cfg"), words = object(model, "text_cfg");
  const Json vision = object(model, "vision_cfg");
  for (const auto& [part, key] : {std::pair(&vision, "timm_model_name"), {&words, "hf_model_name"}})
    check(get<std::string>(*part, key, "").empty(), "open_clip_config.json: ", key,
          " names a tower from another library, which is not supported");
  c.activation =
      get(model, "quick_gelu", false) ? nn::Activation::quick_gelu : nn::Activation::gelu;
  set_open_clip_heads(vision, c);
  c.text.transformer.heads = positive(words, "heads", 8);
  if (!json.contains("preprocess_cfg")) return;
  const Json pixels = object(json, "preprocess_cfg");
  c.preprocess.mean = get(pixels, "mean", c.preprocess.mean);
  c.preprocess.std = get(pixels, "std", c.preprocess.std);
  c.preprocess.resize_mode =
      resize_mode_from(get<std::string>(pixels, "resize_mode", name(c.preprocess.resize_mode)));
  const auto interpolation = get<std::string>(pixels, "interpolation", "bicubic");
  check(interpolation == "bicubic", "open_clip_config.json: interpolation '", interpolation,
        "' is not supported, only bicubic");
}

std::string hugging_face_config(const ModelConfig& c) {
  check(c.vit() != nullptr, "convert: Hugging Face's CLIPModel has no ResNet");
  const nn::VitConfig& v = *c.vit();
  Json words = hugging_face_tower("clip_text_model", c.text.transformer, c);
  words.update({{"vocab_size", c.text.vocab_size},
                {"max_position_embeddings", c.text.context_length},
                {"bos_token_id", c.text.vocab_size - 2},
                {"eos_token_id", c.text.vocab_size - 1}});
  Json vision = hugging_face_tower("clip_vision_model", v.transformer, c);
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
  check(c.preprocess.resize_mode == ResizeMode::shortest,
        "convert: Hugging Face's CLIPImageProcessor resizes the shortest side only");
  return Json{{"image_processor_type", "CLIPImageProcessor"},
              {"do_resize", true},
              {"size", {{"shortest_edge", c.preprocess.size}}},
              {"resample", 3},  // bicubic
              {"do_center_crop", true},
              {"crop_size", {{"height", c.preprocess.size}, {"width", c.preprocess.size}}},
              {"do_convert_rgb", true},
              {"do_rescale", true},
              {"do_normalize", true},
              {"image_mean", c.preprocess.mean},
              {"image_std", c.preprocess.std}}
             .dump(2) +
         '\n';
}

std::string open_clip_config(const ModelConfig& c) {
  const nn::TransformerSize& text = c.text.transformer;
  check(c.layer_norm_eps == 1e-5, "convert: open_clip's layer norms have eps 1e-5, this model ",
        c.layer_norm_eps);
  Json words{{"context_length", c.text.context_length},
             {"vocab_size", c.text.vocab_size},
             {"width", text.width},
             {"heads", text.heads},
             {"layers", text.layers}};
  if (text.inside() != 4 * text.width) words["mlp_ratio"] = mlp_ratio(text);
  return Json{{"model_cfg",
               {{"embed_dim", c.embed_dim},
                {"quick_gelu", c.activation == nn::Activation::quick_gelu},
                {"vision_cfg",
                 std::visit([&c](const auto& v) { return open_clip_vision(v, c.image_size()); },
                            c.vision)},
                {"text_cfg", words}}},
              {"preprocess_cfg",
               {{"mean", c.preprocess.mean},
                {"std", c.preprocess.std},
                {"interpolation", "bicubic"},
                {"resize_mode", name(c.preprocess.resize_mode)}}}}
             .dump(2) +
         '\n';
}

}  // namespace diptych
