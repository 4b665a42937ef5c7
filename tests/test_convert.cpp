// tests/test_convert.cpp — models under the names and configurations of other libraries.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "clip/weights/export.h"
#include "clip/weights/model_file.h"
#include "clip/weights/names.h"
#include "clip/weights/positions.h"
#include "tensor/io/safetensors.h"
#include "tensor/io/sha256.h"
#include "tests/squares.h"

using namespace diptych;
using namespace diptych::test;

namespace {

const std::string kVit = "tests/golden/tiny_clip.safetensors",
                  kResNet = "tests/golden/tiny_resnet.safetensors";

void check_same_tensors(const std::vector<NamedTensor>& got, const std::vector<NamedTensor>& want) {
  REQUIRE(got.size() == want.size());
  for (const NamedTensor& w : want) {
    CAPTURE(w.name);
    const auto it = std::find_if(got.begin(), got.end(),
                                 [&](const NamedTensor& g) { return g.name == w.name; });
    REQUIRE(it != got.end());
    CHECK(same_bits(it->tensor, w.tensor));
  }
}

void check_same_model(const LoadedModel& got, const LoadedModel& want) {
  ModelConfig config = got.model->config();
  config.preprocess.crop_rounds_down = false;  // from Hugging Face's file it is true
  CHECK(to_json(config) == to_json(want.model->config()));
  check_same_tensors(got.model->state_dict(), want.model->state_dict());
}

const Tensor& named(const std::vector<NamedTensor>& tensors, const std::string& name) {
  const auto it = std::find_if(tensors.begin(), tensors.end(),
                               [&](const NamedTensor& t) { return t.name == name; });
  REQUIRE(it != tensors.end());
  return it->tensor;
}

}  // namespace

TEST_CASE("names: Hugging Face's have q, k and v apart and projections transposed, and come back") {
  const LoadedModel loaded = load_model(kVit);
  const auto ours = loaded.model->state_dict(), theirs = with_hugging_face_names(ours);
  CHECK(theirs.size() == ours.size() + 2 * 2 * 4);  // q, k, v: 4 more per layer
  CHECK(named(theirs, "visual_projection.weight").shape() == Shape{24, 32});
  CHECK(same_bits(named(theirs, "text_projection.weight").transpose(0, 1).contiguous(),
                  named(ours, "text_projection")));
  CHECK(same_bits(named(theirs, "vision_model.encoder.layers.1.self_attn.k_proj.bias"),
                  named(ours, "visual.transformer.resblocks.1.attn.in_proj_bias")
                      .slice(0, 32, 64)
                      .contiguous()));
  for (const char* name :
       {"vision_model.embeddings.patch_embedding.weight",
        "vision_model.embeddings.position_embedding.weight", "vision_model.pre_layrnorm.bias",
        "vision_model.post_layernorm.weight", "text_model.embeddings.token_embedding.weight",
        "text_model.encoder.layers.0.layer_norm2.weight",
        "text_model.encoder.layers.0.mlp.fc1.bias",
        "text_model.encoder.layers.0.self_attn.out_proj.weight", "text_model.final_layer_norm.bias",
        "logit_scale"}) {
    CAPTURE(name);
    named(theirs, name);
  }
  check_same_tensors(with_openai_names(theirs), ours);
}

TEST_CASE("names: wrappers in front, masks, position ids and sizes are taken off") {
  const LoadedModel loaded = load_model(kVit);
  const auto ours = loaded.model->state_dict();
  for (const std::string prefix : {"module.", "_orig_mod.", "module._orig_mod."}) {
    std::vector<NamedTensor> wrapped;
    for (const NamedTensor& t : ours) {
      const bool tower = !t.name.starts_with("visual.") && t.name != "logit_scale";
      wrapped.push_back({prefix + (tower ? "text." : "") + t.name, t.tensor});
    }
    wrapped.push_back({prefix + "attn_mask", zeros({12, 12})});
    wrapped.push_back({"text_model.embeddings.position_ids", zeros({1, 12})});
    wrapped.push_back({"input_resolution", zeros({})});
    check_same_tensors(with_openai_names(wrapped), ours);
  }
  auto theirs = with_hugging_face_names(ours);
  std::erase_if(theirs, [](const NamedTensor& t) {
    return t.name == "text_model.encoder.layers.0.self_attn.k_proj.weight";
  });
  CHECK(contains(error_of([&] { with_openai_names(theirs); }), "k is missing"));
}

TEST_CASE(
    "export: a folder for Hugging Face opens as the same model, and so does one for open_clip") {
  const TempDir dir;
  LoadedModel vit = load_model(kVit), resnet = load_model(kResNet);
  export_hugging_face(dir / "hf", *vit.model, nullptr);
  check_same_model(load_model(dir / "hf"), vit);
  export_open_clip(dir / "oc", *vit.model);
  check_same_model(load_model(dir / "oc"), vit);
  CHECK(contains(error_of([&] { export_open_clip(dir / "oc", *resnet.model); }), "is not empty"));
  export_open_clip(dir / "rn-oc", *resnet.model);
  check_same_model(load_model(dir / "rn-oc"), resnet);
  CHECK(contains(error_of([&] { export_hugging_face(dir / "rn", *resnet.model, nullptr); }),
                 "no ResNet"));
}

TEST_CASE("export: a vocabulary of the model's own comes along to Hugging Face and back") {
  const TempDir dir;
  const Tokenizer words = Tokenizer::train({"a red cat", "a red boat", "a blue cat"}, 530);
  ModelConfig config = tiny_config();
  config.text.vocab_size = words.vocab_size() + 3;  // rows of the table that no token has
  Clip model(config);
  model.initialize(0);
  export_hugging_face(dir / "hf", model, &words);
  const auto again = [&] { return load_model(dir / "hf"); };
  CHECK(again().words().merges_text() == words.merges_text());
  CHECK(again().model->config().text.eos_id == words.end_token());

  const std::string vocab = get_file(dir / "hf/vocab.json"), merges = words.merges_text();
  // transformers 5 writes one file instead of two.
  nlohmann::json one{
      {"normalizer", {{"type", "Lowercase"}}},
      {"model", {{"vocab", nlohmann::json::parse(vocab)}, {"merges", nlohmann::json::array()}}}};
  for (size_t at = merges.find('\n') + 1, end; at < merges.size(); at = end + 1) {
    end = merges.find('\n', at);
    one["model"]["merges"].push_back(merges.substr(at, end - at));
  }
  put_file(dir / "hf/tokenizer.json", one.dump());
  std::filesystem::remove(dir / "hf/vocab.json");
  CHECK(again().words().merges_text() == merges);

  put_file(dir / "hf/vocab.json", "{}");  // transformers does not look at it beside tokenizer.json
  CHECK(again().words().merges_text() == merges);
}

TEST_CASE("export: texts are refused where Hugging Face's files give them other ids") {
  const TempDir dir;
  const Tokenizer words = Tokenizer::train({"a red cat", "a red boat", "a blue cat"}, 530);
  ModelConfig config = tiny_config();
  config.text.vocab_size = words.vocab_size();
  Clip model(config);
  model.initialize(1);
  export_hugging_face(dir / "hf", model, &words);
  CHECK_NOTHROW(load_model(dir / "hf").words());
  const auto refused = [&](const char* file, const std::string& text) {
    const std::string path = dir / (std::string("hf/") + file), before = get_file(path);
    put_file(path, text);
    CAPTURE(text);
    CHECK(contains(error_of([&] { load_model(dir / "hf").words(); }), "the tokenizer in"));
    before.empty() ? static_cast<void>(std::filesystem::remove(path)) : put_file(path, before);
  };
  std::string swapped = get_file(dir / "hf/vocab.json");
  swapped.replace(swapped.find("\"!\": 0"), 6, "\"!\": 1");
  refused("vocab.json", swapped);
  refused("tokenizer_config.json", R"({"tokenizer_class": "BertTokenizer"})");
  refused("tokenizer_config.json", R"({"do_lower_case": false})");
  refused("tokenizer_config.json", R"({"eos_token": "</s>"})");
  refused("tokenizer_config.json", R"({"added_tokens_decoder": {"530": {"content": "<toy>"}}})");
  refused("special_tokens_map.json", R"({"bos_token": {"content": "<s>"}})");
  refused("added_tokens.json", R"({"<toy>": 530})");
  refused("tokenizer.json", R"({"model": {"vocab": {}, "merges": []}})");
}

TEST_CASE("export: the activation travels in the configuration, and can be overridden") {
  const TempDir dir;
  ModelConfig config = tiny_config();
  config.set_activation(nn::Activation::gelu);
  Clip model(config);
  model.initialize(0);
  export_hugging_face(dir / "hf", model, nullptr);
  export_open_clip(dir / "oc", model);
  for (const char* folder : {"hf", "oc"}) {
    CHECK(load_model(dir / folder).model->config().text.transformer.activation ==
          nn::Activation::gelu);
    const LoadOptions quick{.activation = nn::Activation::quick_gelu};
    CHECK(load_model(dir / folder, quick).model->config().text.transformer.activation ==
          nn::Activation::quick_gelu);
  }
  // Without the configuration beside it nobody knows.
  std::filesystem::remove(dir / "hf/config.json");
  CHECK(contains(error_of([&] { load_model(dir / "hf"); }), "--activation"));
}

TEST_CASE("positions: another resolution has open_clip's positions") {
  const SafeTensors expected = load_safetensors("tests/golden/tiny_clip_expected.safetensors");
  for (const int64_t R : {16, 56}) {
    CAPTURE(R);
    const LoadedModel loaded = load_model(kVit, {.image_size = R});
    CHECK(loaded.model->config().image_size() == R);
    const Tensor got = named(loaded.model->state_dict(), "visual.positional_embedding"),
                 want = *expected.find("positions." + std::to_string(R));
    REQUIRE(got.shape() == want.shape());
    for (int64_t i = 0; i < got.numel(); ++i)
      CHECK(got.data<float>()[i] == doctest::Approx(want.data<float>()[i]).epsilon(1e-6));
  }
  CHECK(contains(error_of([] { load_model(kVit, {.image_size = 60}); }), "not a multiple of 8"));
  CHECK(contains(error_of([] { resize_positions(zeros({6, 4}), 3); }), "no square grid"));
}

TEST_CASE("model file: a wrong SHA-256 is refused before the file is looked into") {
  const std::string right = sha256_of_file({"test", kVit});
  CHECK(load_model(kVit, {.sha256 = right}).model != nullptr);
  const std::string error = error_of([&] { load_model(kVit, {.sha256 = std::string(64, '0')}); });
  CHECK(contains(error, right));
  CHECK(contains(error, kVit));
}
