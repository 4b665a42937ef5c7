// tests/test_cbow.cpp — captions as bags of words.
#include <doctest/doctest.h>

#include "clip/model.h"
#include "clip/weights/export_config.h"
#include "clip/weights/model_file.h"
#include "nn/text_cbow.h"
#include "tests/squares.h"

using namespace diptych;
using namespace diptych::test;

namespace {

constexpr int64_t kStart = 7, kEnd = 8;

nn::TextConfig bag() {
  nn::TextConfig c{.context_length = 6, .vocab_size = 9, .type = nn::TextType::cbow};
  c.transformer.width = 4;
  c.transformer.layers = 0;
  return c;
}

Tensor features(const nn::CbowText& text, std::vector<std::vector<int64_t>> words) {
  for (auto& caption : words) {
    caption.insert(caption.begin(), kStart);
    caption.push_back(kEnd);
  }
  const Captions captions = pack(words);
  return text(captions.tokens, captions.layout);
}

}  // namespace

TEST_CASE("cbow: a feature is the projection of the norm of the mean of its words") {
  nn::CbowText text(bag(), 3);
  text.to(DType::f64);
  text.initialize(5);
  const auto state = text.state();
  REQUIRE(state[1].name == "token_embedding.weight");
  REQUIRE(state[0].name == "text_projection");
  const Tensor table = state[1].tensor, projection = state[0].tensor;
  const Tensor mean = (select(table, 0, 2) + select(table, 0, 2) + select(table, 0, 5)) / 3.0;
  const Tensor centred = mean - diptych::mean(mean);
  const Tensor normed = centred / sqrt(diptych::mean(square(centred)) + 1e-5);
  const auto wanted = matmul(reshape(normed, {1, 4}), projection).to_vector<double>();
  const auto found = features(text, {{3}, {2, 5, 2}, {}}).to_vector<double>();
  for (size_t i = 0; i < 3; ++i) CHECK(found[3 + i] == doctest::Approx(wanted[i]).epsilon(1e-12));
  for (size_t i = 6; i < 9; ++i) CHECK(found[i] == 0);  // no words: the norm of 0 is its bias
}

TEST_CASE("cbow: the order of the words, and what stands beside them, cannot matter") {
  nn::CbowText text(bag(), 3);
  text.initialize(5);
  const Tensor a = features(text, {{1, 2, 3}, {4, 4}}), b = features(text, {{4, 4}, {3, 1, 2}});
  const auto x = a.to_vector<float>(), y = b.to_vector<float>();
  for (size_t i = 0; i < 3; ++i) {
    CHECK(x[i] == doctest::Approx(y[3 + i]).epsilon(1e-5));  // sums in another order
    CHECK(x[3 + i] == y[i]);
  }
  CHECK(contains(error_of([&] { features(text, {{1, 1, 1, 1, 1}}); }), "the context is 1 to 6"));
}

TEST_CASE("cbow: beside every small preset stands one that says so in its JSON, and nowhere else") {
  for (const std::string name : {"fashion", "tiny", "small", "tiny-resnet"}) {
    const ModelConfig c = preset(name + "-cbow");
    CHECK(c.text.type == nn::TextType::cbow);
    CHECK(contains(to_json(c), "\"type\": \"cbow\""));
    CHECK(to_json(model_config_from_json(to_json(c))) == to_json(c));
    const Clip model(c);
    const int64_t D = c.text.transformer.width, E = c.embed_dim;
    int64_t words = 0;
    for (const auto& entry : model.named_parameters())
      if (!entry.name.starts_with("visual.")) words += entry.tensor.numel();
    CHECK(words == c.text.vocab_size * D + 2 * D + D * E + 1);  // and the temperature
  }
  CHECK(contains(error_of([] { preset("ViT-B-32-cbow"); }), "there is no model"));
}

TEST_CASE("cbow: saved and loaded it is the same; other programs' formats have no place for it") {
  const TempDir dir;
  ModelConfig c = preset("tiny-cbow");
  Clip model(c);
  model.initialize(1);
  save_model(dir / "m.safetensors", model, nullptr);
  const LoadedModel loaded = load_model(dir / "m.safetensors");
  const Captions captions = pack({{510, 3, 4, 511}, {510, 5, 511}});
  CHECK(same_bits(model.encode_text(captions), loaded.model->encode_text(captions)));
  CHECK(contains(error_of([&] { open_clip_config(c); }), "a bag of words"));
  CHECK(contains(error_of([&] { hugging_face_config(c, nullptr); }), "a bag of words"));
}
