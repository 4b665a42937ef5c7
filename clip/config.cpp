// clip/config.cpp — configuration as JSON, strictly: every key present, none unknown.
#include "clip/config.h"

#include <nlohmann/json.hpp>

#include "clip/spelling.h"

namespace diptych {
namespace {

using Json = nlohmann::ordered_json;

// How many values an array must have.
template <class T>
constexpr size_t size_of() {
  if constexpr (requires { std::tuple_size<T>::value; }) return std::tuple_size<T>::value;
  return 1;
}

// One object of the configuration. Reading marks keys, so that `finish` can name those nobody asked
// for.
class Reader {
 public:
  Reader(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
    check(object_.is_object(), "config: ", where_, " is not an object");
  }

  template <class T>
  T get(const std::string& key) {
    seen_.push_back(key);
    const auto it = object_.find(key);
    check(it != object_.end(), "config: ", where_, '.', key, " is missing");
    check(std::is_same_v<T, bool> || !it->is_boolean(), "config: ", where_, '.', key, " is ",
          it->dump());
    check(!it->is_array() || it->size() == size_of<T>(), "config: ", where_, '.', key, " has ",
          it->size(), " values instead of ", size_of<T>());
    try {
      return it->template get<T>();
    } catch (const Json::exception&) {
      fail("config: ", where_, '.', key, " has the wrong type: ", it->dump());
    }
  }

  bool has(const std::string& key) {
    seen_.push_back(key);
    return object_.contains(key);
  }

  /// Of a key that is written only where the value differs from the default.
  template <class T>
  T get_or(const std::string& key, T otherwise) {
    return has(key) ? get<T>(key) : otherwise;
  }

  /// A count or a size: a whole number from 1 to 2³¹.
  int64_t size(const std::string& key) {
    const auto value = get<double>(key);
    check(value >= 1 && value <= 2147483648.0 && value == std::floor(value), "config: ", where_,
          '.', key, " must be a whole number of at least 1, got ", value);
    return static_cast<int64_t>(value);
  }

  double eps(const std::string& key) {
    const auto value = get<double>(key);
    check(value > 0 && value < 1, "config: ", where_, '.', key, " must be between 0 and 1, got ",
          value);
    return value;
  }

  Reader object(const std::string& key) {
    seen_.push_back(key);
    check(object_.contains(key), "config: ", where_, '.', key, " is missing");
    return Reader(object_.at(key), where_ + '.' + key);
  }

  void finish() const {
    for (const auto& [key, value] : object_.items()) {
      if (std::find(seen_.begin(), seen_.end(), key) != seen_.end()) continue;
      const std::string guess = nearest(key, seen_);
      fail("config: ", where_, '.', key, " is unknown",
           guess.empty() ? "" : "; did you mean " + guess + "?");
    }
  }

 private:
  const Json& object_;
  std::string where_;
  std::vector<std::string> seen_;
};

// A key that old readers do not know is written only where its value is not the default.
template <class T>
void add_unless(const T& otherwise, const char* key, const T& value, Json& json) {
  if (value != otherwise) json[key] = value;
}

constexpr const char* kVisionPoolings[] = {"token", "average"};
constexpr const char* kTextPoolings[] = {"largest", "eos", "first", "last"};

template <class Pooling, size_t N>
Pooling pooling_from(const char* const (&names)[N], const std::string& text,
                     const std::string& key) {
  for (size_t i = 0; i < N; ++i)
    if (text == names[i]) return static_cast<Pooling>(i);
  fail("config: ", key, " '", text, "' is unknown");
}

Json tower_json(const nn::TowerConfig& t) {
  return {{"width", t.width}, {"layers", t.layers}, {"heads", t.heads}, {"mlp_width", t.inside()}};
}

// Activation and eps of the text tower stand at the top, for both towers.
void add_differences(const nn::TowerConfig& text, const nn::TowerConfig& t, Json& json) {
  add_unless<std::string>(nn::name(text.activation), "activation", nn::name(t.activation), json);
  add_unless(text.eps, "layer_norm_eps", t.eps, json);
}

Json vision_json(const nn::VitConfig& v, const ModelConfig& c) {
  Json json{{"type", "vit"},
            {"image_size", c.image_size()},
            {"patch_size", v.patch_size},
            {"channels", c.channels()}};
  json.update(tower_json(v.transformer));
  add_differences(c.text.transformer, v.transformer, json);
  const nn::VitConfig plain;
  add_unless(plain.pre_norm, "pre_norm", v.pre_norm, json);
  add_unless<std::string>(kVisionPoolings[0], "pooling",
                          kVisionPoolings[static_cast<size_t>(v.pooling)], json);
  add_unless(plain.norm_after_pooling, "norm_after_pooling", v.norm_after_pooling, json);
  return json;
}

Json vision_json(const nn::ResNetConfig& r, const ModelConfig& c) {
  return {{"type", "resnet"}, {"image_size", c.image_size()}, {"channels", c.channels()},
          {"width", r.width}, {"layers", r.layers},           {"heads", r.heads}};
}

constexpr const char *kCbow = "cbow", *kTransformer = "transformer";

Json text_json(const ModelConfig& c) {
  const nn::TextConfig& text = c.text;
  if (text.type == nn::TextType::cbow)
    return {{"type", kCbow},
            {"context_length", text.context_length},
            {"vocab_size", text.vocab_size},
            {"width", text.transformer.width}};
  Json json{{"context_length", text.context_length}, {"vocab_size", text.vocab_size}};
  json.update(tower_json(text.transformer));
  add_unless(true, "causal", text.causal, json);
  add_unless<std::string>(kTextPoolings[0], "pooling",
                          kTextPoolings[static_cast<size_t>(text.pooling)], json);
  if (text.pooling == nn::TextPooling::eos) json["eos_id"] = text.eos_id;
  add_unless(std::string(), "foreign_tokenizer", c.foreign_tokenizer, json);
  return json;
}

Json preprocess_json(const Preprocess& p) {
  Json json{{"mean", p.mean},
            {"std", p.std},
            {"resize_mode", name(p.resize_mode)},
            {"training_crop", name(p.training_crop)}};
  add_unless(int64_t{0}, "shortest", p.shortest, json);
  add_unless(false, "crop_rounds_down", p.crop_rounds_down, json);
  add_unless<std::string>(name(Interpolation::bicubic), "interpolation", name(p.interpolation),
                          json);
  return json;
}

void read_tower(Reader& in, nn::TowerConfig& t) {
  t.width = in.size("width");
  t.layers = in.size("layers");
  t.heads = in.size("heads");
  t.mlp_width = in.size("mlp_width");
  check(t.width % t.heads == 0, "config: width ", t.width, " must be a multiple of heads, ",
        t.heads);
  if (in.has("activation")) t.activation = nn::activation_from(in.get<std::string>("activation"));
  if (in.has("layer_norm_eps")) t.eps = in.eps("layer_norm_eps");
}

nn::VitConfig read_vit(Reader& in, const nn::TowerConfig& common) {
  nn::VitConfig v;
  v.patch_size = in.size("patch_size");
  v.transformer = common;
  read_tower(in, v.transformer);
  v.pre_norm = in.get_or("pre_norm", true);
  v.pooling = pooling_from<nn::VisionPooling>(kVisionPoolings,
                                              in.get_or<std::string>("pooling", kVisionPoolings[0]),
                                              "model.vision.pooling");
  v.norm_after_pooling = in.get_or("norm_after_pooling", true);
  return v;
}

nn::ResNetConfig read_resnet(Reader& in) {
  nn::ResNetConfig r;
  r.width = in.size("width");
  r.layers = in.get<std::array<int64_t, 4>>("layers");
  for (const int64_t blocks : r.layers)
    check(blocks >= 1 && blocks <= 1000, "config: model.vision.layers: ", blocks, " blocks");
  r.heads = in.size("heads");
  return r;
}

void read_vision(Reader in, const nn::TowerConfig& common, ModelConfig& c) {
  const auto type = in.get<std::string>("type");
  check(type == "vit" || type == "resnet", "config: model.vision.type must be vit or resnet, got '",
        type, "'");
  c.preprocess.size = in.size("image_size");
  c.preprocess.channels = in.size("channels");
  if (type == "vit") {
    c.vision = read_vit(in, common);
  } else {
    c.vision = read_resnet(in);
  }
  in.finish();
}

void read_text(Reader in, const nn::TowerConfig& common, ModelConfig& c) {
  nn::TextConfig& text = c.text;
  const auto type = in.get_or<std::string>("type", kTransformer);
  check(type == kCbow || type == kTransformer,
        "config: model.text.type must be transformer or cbow, got '", type, "'");
  text.context_length = in.size("context_length");
  text.vocab_size = in.size("vocab_size");
  text.transformer = common;
  if (type == kCbow) {
    text.type = nn::TextType::cbow;
    text.transformer.width = in.size("width");
    text.transformer.layers = 0;
    return in.finish();
  }
  read_tower(in, text.transformer);
  text.causal = in.get_or("causal", true);
  text.pooling = pooling_from<nn::TextPooling>(
      kTextPoolings, in.get_or<std::string>("pooling", kTextPoolings[0]), "model.text.pooling");
  if (text.pooling == nn::TextPooling::eos) text.eos_id = in.get<int64_t>("eos_id");
  c.foreign_tokenizer = in.get_or<std::string>("foreign_tokenizer", "");
  in.finish();
}

void read_preprocess(Reader in, Preprocess& p) {
  p.mean = in.get<std::array<float, 3>>("mean");
  p.std = in.get<std::array<float, 3>>("std");
  p.resize_mode = resize_mode_from(in.get<std::string>("resize_mode"));
  p.training_crop = training_crop_from(in.get<std::string>("training_crop"));
  if (in.has("shortest")) p.shortest = in.size("shortest");
  p.crop_rounds_down = in.get_or("crop_rounds_down", false);
  p.interpolation = interpolation_from(in.get_or<std::string>("interpolation", "bicubic"));
  in.finish();
}

}  // namespace

void ModelConfig::set_activation(nn::Activation activation) {
  text.transformer.activation = activation;
  if (vit()) vit()->transformer.activation = activation;
}

CaptionEnd caption_end(const nn::TextConfig& c) {
  if (!c.ends_where_read()) return {.whole = c.context_length};
  if (c.pooling == nn::TextPooling::eos) return {.id = c.eos_id};
  return {};
}

std::string to_json(const ModelConfig& c) {
  Json json{{"embed_dim", c.embed_dim},
            {"vision", std::visit([&c](const auto& v) { return vision_json(v, c); }, c.vision)},
            {"text", text_json(c)},
            {"activation", nn::name(c.text.transformer.activation)},
            {"layer_norm_eps", c.text.transformer.eps},
            {"preprocess", preprocess_json(c.preprocess)}};
  add_unless(false, "logit_bias", c.logit_bias, json);
  return json.dump(2);
}

ModelConfig model_config_from_json(const std::string& text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  check(!json.is_discarded(), "config: not valid JSON: ", text.substr(0, 60));
  Reader in(json, "model");
  ModelConfig c;
  c.embed_dim = in.size("embed_dim");
  nn::TowerConfig common;  // of both towers, unless they say otherwise
  common.eps = in.eps("layer_norm_eps");
  common.activation = nn::activation_from(in.get<std::string>("activation"));
  read_vision(in.object("vision"), common, c);
  read_text(in.object("text"), common, c);
  read_preprocess(in.object("preprocess"), c.preprocess);
  c.logit_bias = in.get_or("logit_bias", false);
  in.finish();
  check_usable(c.preprocess);
  return c;
}

}  // namespace diptych
