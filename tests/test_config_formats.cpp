// tests/test_config_formats.cpp — the configurations of open_clip and Hugging Face: every key is
// obeyed, harmless or refused, and what is obeyed gives the numbers of the real libraries.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "clip/eval/encode.h"
#include "clip/weights/export.h"
#include "clip/weights/export_config.h"
#include "clip/weights/hugging_face_config.h"
#include "clip/weights/infer_config.h"
#include "clip/weights/model_file.h"
#include "clip/weights/open_clip_config.h"
#include "tensor/io/file.h"
#include "tensor/io/safetensors.h"
#include "tests/config_files.h"

namespace diptych::test {
namespace {

using Json = nlohmann::ordered_json;

double largest(const std::vector<float>& values) {
  double most = 0;
  for (const float v : values) most = std::max(most, std::fabs(static_cast<double>(v)));
  return most;
}

/// The largest difference, relative to the largest value.
double difference(const Tensor& got, const Tensor& want) {
  REQUIRE(got.shape() == want.shape());
  const auto a = got.to_vector<float>(), b = want.to_vector<float>();
  double most = 0;
  for (size_t i = 0; i < a.size(); ++i)
    most = std::max(most, std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  return most / largest(b);
}

/// What reading says of the plain configuration with the value at a JSON pointer changed.
std::string with(const std::string& library, const std::string& pointer, const Json& value) {
  Json config = Json::parse(config_variant(library, "plain"));
  config[Json::json_pointer(pointer)] = value;
  ModelConfig c = infer_config(bare_weights()).config;
  return error_of([&] {
    library == "open_clip" ? apply_open_clip_config(config.dump(), c)
                           : apply_hugging_face_config(config.dump(), c);
  });
}

std::string open_clip_with(const std::string& pointer, const Json& value) {
  return with("open_clip", "/model_cfg" + pointer, value);
}

std::string hugging_face_with(const std::string& pointer, const Json& value) {
  return with("transformers", pointer, value);
}

const Json kPixels = {{"image_processor_type", "CLIPImageProcessor"},
                      {"do_resize", true},
                      {"size", {{"shortest_edge", 24}}},
                      {"resample", 3},
                      {"do_center_crop", true},
                      {"crop_size", {{"height", 24}, {"width", 24}}},
                      {"do_convert_rgb", true},
                      {"do_rescale", true},
                      {"rescale_factor", 0.00392156862745098},
                      {"do_normalize", true},
                      {"image_mean", {0.5, 0.25, 0.125}},
                      {"image_std", {0.5, 0.25, 1.0}}};

Preprocess preprocess_with(const std::string& key, const Json& value) {
  ModelConfig c = infer_config(bare_weights()).config;
  Json json = kPixels;
  json[key] = value;
  apply_hugging_face_preprocessor(json.dump(), c);
  return c.preprocess;
}

std::string preprocess_error(const std::string& key, const Json& value) {
  return error_of([&] { preprocess_with(key, value); });
}

bool is_known(const ConfigFormat& format, const std::string& path) {
  return std::any_of(format.keys.begin(), format.keys.end(), [&](const ConfigKey& key) {
    return key.path == path || path.starts_with(key.path + '.');
  });
}

void check_known(const ConfigFormat& format, const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    CAPTURE(path);
    CHECK(is_known(format, path));
  }
}

}  // namespace

TEST_CASE("configurations: features under every variant are those of open_clip and transformers") {
  const SafeTensors golden = load_safetensors(kConfigGolden);
  const Tensor tokens = *golden.find("tokens"), pixels = *golden.find("pixels");
  for (const auto& [library, name, json] : config_variants()) {
    CAPTURE(library);
    CAPTURE(name);
    const TempDir dir;
    const LoadedModel loaded = load_model(write_model_folder(dir, library, json));
    const NoGrad no_grad;
    const Tensor text =
        loaded.model->encode_text(pack_padded(tokens, caption_end(loaded.model->config().text)));
    const std::string key = library + '.' + name;
    CHECK(difference(text, *golden.find(key + ".text")) < 1e-5);
    CHECK(difference(encode_pixels(*loaded.model, pixels), *golden.find(key + ".image")) < 1e-5);

    // What was read can be said again: in our words, and in those of the library it came from.
    const std::string ours = to_json(loaded.model->config());
    CHECK(to_json(model_config_from_json(ours)) == ours);
    library == "open_clip" ? export_open_clip(dir / "again", *loaded.model)
                           : export_hugging_face(dir / "again", *loaded.model, nullptr);
    ModelConfig again = load_model(dir / "again").model->config();
    again.preprocess.crop_rounds_down = false;  // transformers' crop, now that there is its file
    CHECK(to_json(again) == ours);
  }
}

TEST_CASE("configurations: every key of the built-in ones is in the tables") {
  const Json census = Json::parse(get_file("tests/golden/config_keys.json"));
  CHECK(census["files"] == 144);
  std::vector<std::string> open_clip;
  for (const auto& [path, values] : census["open_clip"].items()) open_clip.push_back(path);
  check_known(open_clip_format(), open_clip);
  check_known(hugging_face_format(), census["transformers"]);
  check_known(hugging_face_preprocessor_format(), census["preprocessor"]);
}

TEST_CASE("configurations: the tables in the lesson are the tables of the code") {
  constexpr const char* kLesson = "clip/weights/README.md";
  std::string lesson = get_file(kLesson);
  for (const ConfigFormat* format :
       {&open_clip_format(), &hugging_face_format(), &hugging_face_preprocessor_format()}) {
    const size_t begin = lesson.find("| key of `" + format->file);
    REQUIRE(begin != std::string::npos);
    const size_t end = std::min(lesson.find("\n\n", begin) + 1, lesson.size());
    const bool same = lesson.substr(begin, end - begin) == markdown(*format);
    if (!same && std::getenv("DIPTYCH_WRITE_TABLES"))
      write_file_atomically(kLesson, lesson.replace(begin, end - begin, markdown(*format)));
    CHECK_MESSAGE(same, "run this test with DIPTYCH_WRITE_TABLES=1");
  }
}

TEST_CASE("open_clip's configuration: what is not supported is refused by name") {
  const auto refuses = [](const std::string& error, const std::string& key) {
    CAPTURE(error);
    CHECK(contains(error, "open_clip_config.json"));
    CHECK(contains(error, key));
  };
  CHECK(open_clip_with("/quick_gelu", true).empty());
  refuses(open_clip_with("/vision_cfg/timm_model_name", "vit_base"), "vision_cfg.timm_model_name");
  refuses(open_clip_with("/text_cfg/hf_model_name", "bert"), "text_cfg.hf_model_name");
  refuses(open_clip_with("/vision_cfg/attentional_pool", true), "attentional_pool");
  refuses(open_clip_with("/vision_cfg/ls_init_value", 1e-4), "ls_init_value");
  refuses(open_clip_with("/text_cfg/qk_norm", true), "text_cfg.qk_norm");
  refuses(open_clip_with("/text_cfg/pool_type", "none"), "pool_type");
  refuses(open_clip_with("/text_cfg/heads", "two"), "it must be a number");
  refuses(open_clip_with("/text_cfg/heads", 3), "do not divide");
  refuses(open_clip_with("/text_cfg/act_kwargs", {{"approximate", "sinh"}}), "approximate");
  refuses(open_clip_with("/text_cfg/act_kwargs", {{"inplace", true}}), "act_kwargs.inplace");
  refuses(open_clip_with("/text_cfg/act_kwargs", 3), "must be an object");
  refuses(open_clip_with("/text_cfg/norm_kwargs", {{"eps", -1}}), "norm_kwargs.eps");
  refuses(open_clip_with("/multimodal_cfg", {{"width", 512}}), "multimodal_cfg");
  refuses(open_clip_with("/text_cfg/pool_typ", "last"),
          "did you mean model_cfg.text_cfg.pool_type");
  refuses(open_clip_with("/vision_cfg/layers", {1, 2, 3, 4}), "other kind of image tower");
  for (const char* key :
       {"/embed_dim", "/vision_cfg/width", "/vision_cfg/layers", "/vision_cfg/patch_size",
        "/vision_cfg/image_size", "/text_cfg/context_length", "/text_cfg/vocab_size",
        "/text_cfg/width", "/text_cfg/layers"})
    refuses(open_clip_with(key, 7), "the tensors");
  refuses(open_clip_with("/text_cfg/mlp_ratio", 3.0), "inside the MLP");
  refuses(open_clip_with("/vision_cfg/no_ln_pre", true), "no_ln_pre");
  refuses(with("open_clip", "/preprocess_cfg/interpolation", "lanczos"), "interpolation");
  refuses(with("open_clip", "/preprocess_cfg/std", {0.0, 1, 1}), "std");
  refuses(with("open_clip", "/preprocess_cfg/size", 32), "preprocess_cfg.size");
  refuses(with("open_clip", "/model_cfg.quick_gelu", true), "is not known");
  ModelConfig c = infer_config(bare_weights()).config;
  CHECK(contains(error_of([&] { apply_open_clip_config("[1]", c); }), "not a JSON object"));
  CHECK(contains(error_of([&] {
                   apply_open_clip_config(R"({"model_cfg": {"embed_dim": 1, "embed_dim": 24}})", c);
                 }),
                 "'embed_dim' stands twice in one object"));
}

TEST_CASE("open_clip's configuration: a model_configs file is one without its wrapper") {
  ModelConfig c = infer_config(bare_weights()).config;
  const Json model = Json::parse(config_variant("open_clip", "quick_gelu"))["model_cfg"];
  apply_open_clip_config(model.dump(), c);
  CHECK(c.text.transformer.activation == nn::Activation::quick_gelu);
}

TEST_CASE("open_clip's configuration: interpolation and a foreign tokenizer are kept") {
  ModelConfig c = infer_config(bare_weights()).config;
  Json config = Json::parse(config_variant("open_clip", "plain"));
  config["preprocess_cfg"]["interpolation"] = "bilinear";
  config["model_cfg"]["text_cfg"]["hf_tokenizer_name"] = "bert-base-uncased";
  apply_open_clip_config(config.dump(), c);
  CHECK(c.preprocess.interpolation == Interpolation::bilinear);
  CHECK(c.foreign_tokenizer == "bert-base-uncased");
  const TempDir dir;
  const LoadedModel loaded = load_model(write_model_folder(dir, "open_clip", config.dump()));
  CHECK(contains(error_of([&] { loaded.words(); }), "'bert-base-uncased', which is not supported"));
}

TEST_CASE("Hugging Face's configuration: what is not supported is refused by name") {
  const auto refuses = [](const std::string& error, const std::string& key) {
    CAPTURE(error);
    CHECK(contains(error, "config.json"));
    CHECK(contains(error, key));
  };
  CHECK(hugging_face_with("/transformers_version", "4.30.0").empty());
  CHECK(hugging_face_with("/text_config/num_beams", 3).empty());
  refuses(hugging_face_with("/model_type", "siglip"), "model_type");
  refuses(hugging_face_with("/text_config/hidden_act", "relu"), "text_config.hidden_act");
  refuses(hugging_face_with("/vision_config/num_attention_heads", 3), "do not divide");
  refuses(hugging_face_with("/vision_config/layer_norm_eps", 0), "layer_norm_eps");
  refuses(hugging_face_with("/text_config/pruned_heads", {{"0", {1}}}), "pruned_heads");
  refuses(hugging_face_with("/quantization_config", {{"bits", 4}}), "quantization_config");
  refuses(hugging_face_with("/text_config/rope_theta", 1e4), "text_config.rope_theta is not known");
  refuses(hugging_face_with("/text_config/eos_token_id", {1, 2}), "eos_token_id");
  for (const char* key :
       {"/projection_dim", "/text_config/hidden_size", "/text_config/num_hidden_layers",
        "/text_config/intermediate_size", "/text_config/vocab_size",
        "/text_config/max_position_embeddings", "/vision_config/hidden_size",
        "/vision_config/num_hidden_layers", "/vision_config/image_size",
        "/vision_config/patch_size", "/vision_config/num_channels"})
    refuses(hugging_face_with(key, 7), "the tensors");
}

TEST_CASE("preprocessor_config.json: sizes, filters, moments and factors are obeyed") {
  const Preprocess plain = preprocess_with("resample", 3);
  CHECK(plain.mean == std::array<float, 3>{0.5f, 0.25f, 0.125f});
  CHECK(plain.std == std::array<float, 3>{0.5f, 0.25f, 1.0f});
  CHECK(plain.shortest == 0);
  CHECK(plain.crop_rounds_down);
  CHECK(preprocess_with("resample", 2).interpolation == Interpolation::bilinear);
  CHECK(preprocess_with("size", 24).resize_mode == ResizeMode::shortest);
  CHECK(preprocess_with("size", {{"shortest_edge", 32}}).shortest == 32);
  CHECK(preprocess_with("size", {{"height", 24}, {"width", 24}}).resize_mode == ResizeMode::squash);
  CHECK(preprocess_with("do_normalize", false).std == std::array<float, 3>{1, 1, 1});
  CHECK(preprocess_with("do_normalize", false).mean == std::array<float, 3>{0, 0, 0});
  // (v / 127.5 - mean) / std, and v - mean over std, in units of v / 255
  CHECK(preprocess_with("rescale_factor", 1 / 127.5).mean[0] == doctest::Approx(0.25));
  CHECK(preprocess_with("do_rescale", false).std[2] == doctest::Approx(1 / 255.0));
}

TEST_CASE("preprocessor_config.json: what is not supported is refused by name") {
  const auto refuses = [](const char* key, const Json& value) {
    CAPTURE(key);
    CHECK(contains(preprocess_error(key, value), std::string("preprocessor_config.json: ") + key));
  };
  refuses("image_processor_type", "ViTImageProcessor");
  refuses("do_resize", false);
  refuses("do_center_crop", false);
  refuses("do_convert_rgb", false);
  refuses("do_pad", true);
  refuses("size", 16);
  refuses("size", {{"longest_edge", 24}});
  refuses("size", {{"shortest_edge", 24}, {"longest_edge", 48}});
  refuses("crop_size", 16);
  refuses("crop_size", {{"height", 24}, {"width", 25}});
  refuses("resample", 6);
  refuses("rescale_factor", 0);
  refuses("do_rescale", "no");
  refuses("image_mean", {0.5, 0.5});
  refuses("image_mean", {0.5, 0.5, 1e300});
  refuses("sharpen", true);
  refuses("do_resize", nullptr);  // Python takes null for false
  refuses("resample", nullptr);
  refuses("image_mean", nullptr);
  CHECK(preprocess_with("do_normalize", nullptr).std == std::array<float, 3>{1, 1, 1});
  CHECK(contains(preprocess_error("image_std", {0, 1, 1}),
                 "image_std is [0,1,1]: they must be above 0"));
}

}  // namespace diptych::test
