// clip/weights/hugging_face_preprocessor.cpp — the table of preprocessor_config.json's keys.
#include <nlohmann/json.hpp>

#include "clip/weights/hugging_face_config.h"

namespace diptych {
namespace {

using Reading::harmless;
using Reading::refused;
using Reading::supported;
using Json = nlohmann::ordered_json;

constexpr const char* kFile = "preprocessor_config.json";

void check_type(const ConfigValue& v, ModelConfig&) {
  for (const char* type : {"null", "\"CLIPImageProcessor\"", "\"CLIPImageProcessorFast\"",
                           "\"CLIPImageProcessorPil\"", "\"CLIPFeatureExtractor\""})
    if (v.json() == type) return;
  v.refuse("only CLIPImageProcessor is known; others read the same keys differently");
}

// n or {"shortest_edge": n}: the short side; {"height": n, "width": n}: both.
void set_size(const ConfigValue& v, ModelConfig& c) {
  const int64_t R = c.image_size();
  const ConfigValue shortest = v.is_object() ? v.member("shortest_edge") : v;
  const bool both = shortest.is_null();
  if (!both && v.is_object() && v.keys().size() != 1)
    v.refuse("only shortest_edge, or height and width, are supported");
  const int64_t side = both ? v.side() : shortest.size();
  if (both ? side != R : side < R) v.refuse("the model takes pictures of " + std::to_string(R));
  c.preprocess.resize_mode = both ? ResizeMode::squash : ResizeMode::shortest;
  c.preprocess.shortest = side == R ? 0 : side;
}

void check_crop(const ConfigValue& v, ModelConfig& c) {
  if (v.side() != c.image_size())
    v.refuse("the model takes pictures of " + std::to_string(c.image_size()));
}

// Without the crop the resized picture must be square. crop_size is not read then.
void check_cropped(const ConfigValue& v, ModelConfig& c) {
  if (!v.boolean() && c.preprocess.resize_mode != ResizeMode::squash)
    v.refuse("without it pictures are not square");
}

void set_resample(const ConfigValue& v, ModelConfig& c) {
  if (v.whole() < 0 || v.whole() > 5) v.refuse("Pillow's filters are 0 to 5");
  c.preprocess.interpolation = static_cast<Interpolation>(v.whole());
}

void forget_moments(const ConfigValue& v, ModelConfig& c) {
  if (v.boolean()) return;
  c.preprocess.mean = {0, 0, 0};
  c.preprocess.std = {1, 1, 1};
}

// Values are multiplied by f instead of 1 / 255.
void rescale(double f, ModelConfig& c) {
  for (auto* values : {&c.preprocess.mean, &c.preprocess.std})
    for (float& x : *values) x = static_cast<float>(static_cast<double>(x) / (255 * f));
}

// The value of rescale_factor is 1 / 255 with Python's digits unless someone changed it.
void set_factor(const ConfigValue& v, ModelConfig& c) {
  const double factor = v.positive();
  if (factor != 1.0 / 255.0) rescale(factor, c);
}

ConfigFormat make_format() {
  ConfigFormat format{
      kFile,
      {
          {"image_processor_type", supported, "null", "CLIPImageProcessor", check_type},
          {"feature_extractor_type", supported, "null", "its old name", check_type},
          {"do_resize", refused, "true", "pictures as they are"},
          {"size", supported, "{\"shortest_edge\": 224}", "of the resized picture", set_size},
          {"resample", supported, "3",
           "0 nearest, 1 Lanczos, 2 bilinear, 3 bicubic, 4 box, 5 Hamming", set_resample},
          {"do_center_crop", supported, "true", "false only where size gives a square",
           check_cropped},
          {"crop_size", supported, "{\"height\": 224, \"width\": 224}", "compared with image_size",
           check_crop},
          {"image_mean", supported, "[0.48145466, 0.4578275, 0.40821073]", "of the pixels",
           [](const ConfigValue& v, ModelConfig& c) { c.preprocess.mean = v.triple(); }},
          {"image_std", supported, "[0.26862954, 0.26130258, 0.27577711]", "of the pixels",
           [](const ConfigValue& v, ModelConfig& c) { c.preprocess.std = v.positive_triple(); }},
          {"do_normalize", supported, "true", "false: mean 0, std 1", forget_moments},
          {"do_rescale", supported, "true", "false: rescale_factor is 1",
           [](const ConfigValue& v, ModelConfig&) { v.boolean(); }},
          {"rescale_factor", supported, "0.00392156862745098", "1 / 255", set_factor},
          {"do_convert_rgb", refused, "true", "other colours"},
          {"do_pad", refused, "false", "margins"},
          {"pad_size", refused, "null", "margins"},
          {"default_to_square", refused, "false", "another meaning of a size that is one number"},
          {"crop_pct", refused, "null", "another size before the crop"},
      }};
  for (const char* key : {"processor_class", "data_format", "input_data_format", "return_tensors",
                          "device", "disable_grouping", "image_seq_length", "_valid_processor_keys",
                          "tokenizer_class", "auto_map", "size_divisor"})
    format.keys.push_back({key, harmless, "null", "written for Python"});
  return format;
}

// Two switches say what two values are, whatever those say.
std::string switched(const std::string& text) {
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return text;
  for (const char* key : {"do_rescale", "do_center_crop", "do_normalize", "do_resize"})
    if (json.contains(key) && json[key].is_null()) json[key] = false;  // as Python takes it
  const auto off = [&](const char* key) { return json.contains(key) && json[key] == false; };
  const bool whole = off("do_rescale"), uncropped = off("do_center_crop");
  if (whole) json["rescale_factor"] = 1;
  if (uncropped) json["crop_size"] = json.value("size", Json());
  return json.dump();
}

}  // namespace

const ConfigFormat& hugging_face_preprocessor_format() {
  static const ConfigFormat format = make_format();
  return format;
}

void apply_hugging_face_preprocessor(const std::string& text, ModelConfig& c) {
  apply_config(hugging_face_preprocessor_format(), switched(text), c);
  c.preprocess.crop_rounds_down = true;  // whatever it says
  check_usable(c.preprocess);
}

}  // namespace diptych
