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

Json tower_json(const nn::TransformerConfig& t) {
  return {{"width", t.width}, {"layers", t.layers}, {"heads", t.heads}};
}

void read_tower(Reader& in, nn::TransformerConfig& t) {
  t.width = in.size("width");
  t.layers = in.size("layers");
  t.heads = in.size("heads");
  check(t.width % t.heads == 0, "config: width ", t.width, " must be a multiple of heads, ",
        t.heads);
}

}  // namespace

std::string to_json(const ModelConfig& c) {
  Json vision{{"image_size", c.vision.image_size},
              {"patch_size", c.vision.patch_size},
              {"channels", c.vision.channels}};
  vision.update(tower_json(c.vision.transformer));
  Json text{{"context_length", c.text.context_length}, {"vocab_size", c.text.vocab_size}};
  text.update(tower_json(c.text.transformer));
  return Json{{"embed_dim", c.embed_dim()},
              {"vision", vision},
              {"text", text},
              {"activation", nn::name(c.vision.transformer.activation)},
              {"layer_norm_eps", c.vision.transformer.eps},
              {"preprocess", {{"mean", c.preprocess.mean}, {"std", c.preprocess.std}}}}
      .dump(2);
}

ModelConfig model_config_from_json(const std::string& text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  check(!json.is_discarded(), "config: not valid JSON: ", text.substr(0, 60));
  Reader in(json, "model");
  ModelConfig c;
  c.vision.embed_dim = c.text.embed_dim = in.size("embed_dim");

  Reader vision = in.object("vision");
  c.vision.image_size = c.preprocess.size = vision.size("image_size");
  c.vision.patch_size = vision.size("patch_size");
  c.vision.channels = c.preprocess.channels = vision.size("channels");
  read_tower(vision, c.vision.transformer);
  vision.finish();

  Reader words = in.object("text");
  c.text.context_length = words.size("context_length");
  c.text.vocab_size = words.size("vocab_size");
  read_tower(words, c.text.transformer);
  words.finish();

  const nn::Activation activation = nn::activation_from(in.get<std::string>("activation"));
  c.vision.transformer.activation = c.text.transformer.activation = activation;
  c.vision.transformer.eps = c.text.transformer.eps = in.get<double>("layer_norm_eps");
  Reader pixels = in.object("preprocess");
  c.preprocess.mean = pixels.get<std::array<float, 3>>("mean");
  c.preprocess.std = pixels.get<std::array<float, 3>>("std");
  pixels.finish();
  in.finish();
  return c;
}

}  // namespace diptych
