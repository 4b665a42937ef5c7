// clip/config.cpp — configuration as JSON, strictly: every key present, none unknown.
#include "clip/config.h"

#include <nlohmann/json.hpp>

namespace diptych {
namespace {

using Json = nlohmann::ordered_json;

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
    try {
      return it->template get<T>();
    } catch (const Json::exception&) {
      fail("config: ", where_, '.', key, " has the wrong type: ", it->dump());
    }
  }

  /// A count or a size: a whole number from 1 to 2³¹.
  int64_t size(const std::string& key) {
    const auto value = get<double>(key);
    check(value >= 1 && value <= 2147483648.0 && value == std::floor(value), "config: ", where_,
          '.', key, " must be a whole number of at least 1, got ", value);
    return static_cast<int64_t>(value);
  }

  Reader object(const std::string& key) {
    seen_.push_back(key);
    check(object_.contains(key), "config: ", where_, '.', key, " is missing");
    return Reader(object_.at(key), where_ + '.' + key);
  }

  void finish() const {
    for (const auto& [key, value] : object_.items()) {
      check(std::find(seen_.begin(), seen_.end(), key) != seen_.end(), "config: ", where_, '.', key,
            " is unknown");
    }
  }

 private:
  const Json& object_;
  std::string where_;
  std::vector<std::string> seen_;
};

Json tower_json(const nn::TransformerSize& t) {
  return {{"width", t.width}, {"layers", t.layers}, {"heads", t.heads}, {"mlp_width", t.inside()}};
}

Json vision_json(const nn::VitConfig& v, const Preprocess& pictures) {
  Json json{{"type", "vit"},
            {"image_size", pictures.size},
            {"patch_size", v.patch_size},
            {"channels", pictures.channels}};
  json.update(tower_json(v.transformer));
  return json;
}

Json vision_json(const nn::ResNetConfig& r, const Preprocess& pictures) {
  return {{"type", "resnet"}, {"image_size", pictures.size}, {"channels", pictures.channels},
          {"width", r.width}, {"layers", r.layers},          {"heads", r.heads}};
}

void read_tower(Reader& in, nn::TransformerSize& t) {
  t.width = in.size("width");
  t.layers = in.size("layers");
  t.heads = in.size("heads");
  t.mlp_width = in.size("mlp_width");
  check(t.width % t.heads == 0, "config: width ", t.width, " must be a multiple of heads, ",
        t.heads);
}

nn::VitConfig read_vit(Reader& in) {
  nn::VitConfig v;
  v.patch_size = in.size("patch_size");
  read_tower(in, v.transformer);
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

void read_vision(Reader in, ModelConfig& c) {
  const auto type = in.get<std::string>("type");
  check(type == "vit" || type == "resnet", "config: model.vision.type must be vit or resnet, got '",
        type, "'");
  c.preprocess.size = in.size("image_size");
  c.preprocess.channels = in.size("channels");
  if (type == "vit") {
    c.vision = read_vit(in);
  } else {
    c.vision = read_resnet(in);
  }
  in.finish();
}

void read_text(Reader in, nn::TextConfig& c) {
  c.context_length = in.size("context_length");
  c.vocab_size = in.size("vocab_size");
  read_tower(in, c.transformer);
  in.finish();
}

void read_preprocess(Reader in, Preprocess& p) {
  p.mean = in.get<std::array<float, 3>>("mean");
  p.std = in.get<std::array<float, 3>>("std");
  p.resize_mode = resize_mode_from(in.get<std::string>("resize_mode"));
  p.training_crop = training_crop_from(in.get<std::string>("training_crop"));
  in.finish();
}

}  // namespace

std::string to_json(const ModelConfig& c) {
  const Json vision =
      std::visit([&c](const auto& v) { return vision_json(v, c.preprocess); }, c.vision);
  Json text{{"context_length", c.text.context_length}, {"vocab_size", c.text.vocab_size}};
  text.update(tower_json(c.text.transformer));
  return Json{{"embed_dim", c.embed_dim},
              {"vision", vision},
              {"text", text},
              {"activation", nn::name(c.activation)},
              {"layer_norm_eps", c.layer_norm_eps},
              {"preprocess",
               {{"mean", c.preprocess.mean},
                {"std", c.preprocess.std},
                {"resize_mode", name(c.preprocess.resize_mode)},
                {"training_crop", name(c.preprocess.training_crop)}}}}
      .dump(2);
}

ModelConfig model_config_from_json(const std::string& text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  check(!json.is_discarded(), "config: not valid JSON: ", text.substr(0, 60));
  Reader in(json, "model");
  ModelConfig c;
  c.embed_dim = in.size("embed_dim");
  c.layer_norm_eps = in.get<double>("layer_norm_eps");
  c.activation = nn::activation_from(in.get<std::string>("activation"));
  read_vision(in.object("vision"), c);
  read_text(in.object("text"), c.text);
  read_preprocess(in.object("preprocess"), c.preprocess);
  in.finish();
  return c;
}

}  // namespace diptych
