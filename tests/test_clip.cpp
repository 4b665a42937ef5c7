// tests/test_clip.cpp — configuration, model files, inputs, prompts, zero-shot.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <set>

#include "clip/eval/prompts.h"
#include "clip/eval/zero_shot.h"
#include "clip/loss.h"
#include "clip/weights/infer_config.h"
#include "clip/weights/model_file.h"
#include "clip/weights/vocabulary.h"
#include "data/image/transform.h"
#include "data/text/captions.h"
#include "tensor/io/safetensors.h"
#include "tests/squares.h"

using namespace diptych;
using namespace diptych::test;

TEST_CASE("config: JSON and back is the identity, for every preset") {
  for (const std::string& name : preset_names()) {
    const std::string json = to_json(preset(name));
    CHECK(to_json(model_config_from_json(json)) == json);
  }
}

TEST_CASE("config: the JSON of model files does not change by a byte") {
  for (const std::string name : {"fashion", "tiny-resnet", "ViT-S-16"}) {
    CAPTURE(name);
    CHECK(to_json(preset(name)) + '\n' == get_file("tests/golden/config_" + name + ".json"));
  }
}

TEST_CASE("config: a missing, unknown or odd key is named") {
  const std::string json = to_json(tiny_config());
  const auto edited = [&](const std::string& from, const std::string& to) {
    std::string text = json;
    text.replace(text.find(from), from.size(), to);
    return error_of([&] { model_config_from_json(text); });
  };
  CHECK(contains(edited("\"embed_dim\"", "\"embed\""), "model.embed_dim is missing"));
  CHECK(contains(edited("\"embed_dim\": 16", "\"embed_dim\": 16, \"new\": 1"),
                 "model.new is unknown"));
  CHECK(contains(edited("\"patch_size\": 4", "\"patch_size\": \"four\""),
                 "model.vision.patch_size has the wrong type"));
  CHECK(contains(edited("\"patch_size\": 4", "\"patch_size\": -4"), "at least 1"));
  CHECK(contains(edited("quick_gelu", "swish"), "'swish' is unknown"));
  CHECK(contains(error_of([] { model_config_from_json("{"); }), "not valid JSON"));
  CHECK(contains(error_of([] { preset("ViT-B32"); }), "did you mean ViT-B-32?"));
}

TEST_CASE("model file: saved and loaded, it is the same model") {
  const TempDir dir;
  const Tokenizer tokenizer = squares_tokenizer();
  Clip model(tiny_config());
  model.initialize(1);
  save_model(dir / "m.safetensors", model, &tokenizer);
  const LoadedModel loaded = load_model(dir / "m.safetensors");
  CHECK(loaded.notes.empty());
  CHECK(loaded.words().merges_text() == tokenizer.merges_text());
  CHECK(to_json(loaded.model->config()) == to_json(model.config()));
  const Tensor pixels = randn({2, 3, 8, 8}, {2, 0});
  CHECK(same_bits(model.encode_image(pixels), loaded.model->encode_image(pixels)));
}

TEST_CASE("model file: without configuration the architecture is inferred, and said") {
  const TempDir dir;
  ModelConfig config = tiny_config();
  config.vit()->transformer.width = config.text.transformer.width = 64;
  config.vit()->transformer.heads = config.text.transformer.heads = 1;
  Clip model(config);
  model.initialize(1);
  std::vector<NamedTensor> tensors = model.state_dict();
  save_safetensors(dir / "bare.safetensors", tensors);
  CHECK(contains(error_of([&] { load_model(dir / "bare.safetensors"); }), "--activation"));
  const LoadOptions quick{.activation = nn::Activation::quick_gelu};
  const LoadedModel loaded = load_model(dir / "bare.safetensors", quick);
  CHECK(to_json(loaded.model->config()) == to_json(config));
  CHECK(contains(loaded.notes, "patch size 4"));
  CHECK(contains(loaded.notes, "assumed"));
  CHECK(contains(error_of([&] { loaded.words(); }), "--vocab"));

  const std::string gone = tensors.back().name;
  tensors.pop_back();
  save_safetensors(dir / "bare.safetensors", tensors);
  const std::string error = error_of([&] { load_model(dir / "bare.safetensors", quick); });
  CHECK(contains(error, "bare.safetensors"));
  CHECK(contains(error, gone));
  save_safetensors(dir / "other.safetensors", {{"x", zeros({2})}});
  CHECK(contains(error_of([&] { load_model(dir / "other.safetensors"); }), "not a CLIP"));
  CHECK(contains(error_of([&] { load_model(dir / "none.safetensors"); }), "none.safetensors"));
  CHECK(contains(error_of([&] { load_model(dir.path()); }), "several files of weights"));
  CHECK(contains(error_of([] { load_model(TempDir().path()); }), "no intact checkpoint"));
}

TEST_CASE("loss: starts near ln B, and equal pairs bring it down") {
  const Tensor x = randn({64, 32}, {1, 0}), y = randn({64, 32}, {1, 1}), scale = full({}, 0);
  CHECK(contrastive_loss(x, y, scale).item() == doctest::Approx(std::log(64)).epsilon(0.02));
  CHECK(contrastive_loss(x, x, full({}, std::log(100))).item() < 0.01);
  CHECK(contains(error_of([&] {
                   contrastive_loss(x, zeros({3, 32}), scale);
                 }),
                 "contrastive_loss"));
}

TEST_CASE("loss: the mean over pictures and over captions, by hand") {
  const Tensor image = from_vector<double>({3, 4, 1, 0}, {2, 2}),
               text = from_vector<double>({0, 2, 1, 1}, {2, 2});
  const double s = 3, h = std::sqrt(0.5);  // cosines: 0.8, 1.4 h; 0, h
  const auto cross_entropy = [s](double right, double wrong) {
    return std::log(1 + std::exp(s * (wrong - right)));
  };
  const double pictures = cross_entropy(0.8, 1.4 * h) + cross_entropy(h, 0),
               captions = cross_entropy(0.8, 0) + cross_entropy(h, 1.4 * h);
  const Tensor loss = contrastive_loss(image, text, full({}, std::log(s), DType::f64));
  CHECK(loss.item() == doctest::Approx((pictures + captions) / 4).epsilon(1e-12));
  CHECK(std::fabs(pictures - captions) > 0.1);  // or a mix-up would not show
}

TEST_CASE("model: the temperature stays between 1 and 100") {
  Clip model(tiny_config());
  model.initialize(0);
  nn::AdamW optimizer(model, {});
  set_grad(model.logit_scale(), full({}, 0));
  const auto after_a_step = [&](double value) {
    model.logit_scale().detach().fill_(value);
    optimizer.step(1e-3, nn::grad_squares(model));
    return model.logit_scale().item();
  };
  CHECK(after_a_step(7) == static_cast<float>(std::log(100)));
  CHECK(after_a_step(-1) == 0);
  CHECK(after_a_step(2) == 2);
}

TEST_CASE("inputs: padded captions end at their largest id, the first of equals") {
  const Captions packed = pack_padded(from_vector<int64_t>({5, 9, 9, 0, 1, 2, 3, 9}, {2, 4}));
  CHECK(packed.tokens.to_vector<int64_t>() == std::vector<int64_t>{5, 9, 1, 2, 3, 9});
  CHECK(packed.layout.ends() == std::vector<int64_t>{0, 2, 6});
  CHECK(contains(error_of([] { pack_padded(zeros({2, 2})); }), "i64 (B, T)"));
}

TEST_CASE("prompts: labels and templates are checked") {
  CHECK(split_labels("a, b ,c") == std::vector<std::string>{"a", "b", "c"});
  CHECK(split_labels("one") == std::vector<std::string>{"one"});
  CHECK(contains(error_of([] { split_labels(""); }), "there is none"));
  CHECK(contains(error_of([] { split_labels("a,,b"); }), "label 2"));
  CHECK(contains(error_of([] { split_labels("a,b,"); }), "label 3"));
  CHECK(split_labels("a,b, a ") == std::vector<std::string>{"a", "b", "a"});
  const TempDir dir;
  put_file(dir / "t.txt", "a {}.\nno place\n");
  CHECK(contains(error_of([&] { prompt_templates(dir / "t.txt"); }), "line 2"));
  put_file(dir / "t.txt", "a {}.\r\nthe {}\n\n");
  CHECK(prompt_templates(dir / "t.txt") == std::vector<std::string>{"a {}.", "the {}"});
  CHECK(prompt_templates("exact") == std::vector<std::string>{"{}"});
  CHECK(contains(error_of([] { prompt_templates("nowhere"); }), "'nowhere' is neither"));
  put_file(dir / "t.txt", "a {}.\n{} and {}\n");
  CHECK(contains(error_of([&] { prompt_templates(dir / "t.txt"); }), "it has 2"));
}

TEST_CASE("prompts: OpenAI's 80 sentences, and the seven among them") {
  const auto all = prompt_templates("openai"), best = prompt_templates("openai-7");
  CHECK(all.size() == 80);
  CHECK(best.size() == 7);
  CHECK(std::set<std::string>(all.begin(), all.end()).size() == 80);
  CHECK(std::set<std::string>(best.begin(), best.end()).size() == 7);
  for (const std::string& prompt : all) {
    CAPTURE(prompt);
    CHECK(prompt.find("{}") != prompt.npos);
    CHECK(prompt.find("{}") == prompt.rfind("{}"));
    CHECK(prompt.ends_with('.'));
  }
  for (const std::string& prompt : best) CHECK(std::count(all.begin(), all.end(), prompt) == 1);
}

TEST_CASE("zero-shot: templates are normalised, averaged and normalised, by hand") {
  Clip model(tiny_config());
  model.initialize(3);
  const Tokenizer tokenizer = squares_tokenizer();
  const Tensor head = zero_shot_head(model, tokenizer, {"red", "blue"}, {"a {} one", "one {}"});
  const Tensor texts = l2_normalize(
      encode_texts(model, tokenizer, {"a red one", "one red", "a blue one", "one blue"}));
  for (int64_t k = 0; k < 2; ++k) {
    const auto want =
        l2_normalize((texts.slice(0, 2 * k, 2 * k + 1) + texts.slice(0, 2 * k + 1, 2 * k + 2)) *
                     0.5)
            .to_vector<float>();
    const auto got = head.slice(0, k, k + 1).to_vector<float>();
    for (size_t i = 0; i < want.size(); ++i)
      CHECK(got[i] == doctest::Approx(want[i]).epsilon(1e-5));
  }
}

TEST_CASE(
    "zero-shot: a cached head is read back, and belongs to its weights, names and templates") {
  const TempDir dir;
  Clip model(tiny_config());
  model.initialize(3);
  const Tokenizer tokenizer = squares_tokenizer();
  const auto head = [&](const std::vector<std::string>& names, const std::string& prompt) {
    return cached_zero_shot_head(model, tokenizer, names, {prompt}, dir.path());
  };
  const Tensor first = head({"red", "blue"}, "a {}");
  CHECK(dir.file_count() == 1);
  CHECK(same_bits(first, head({"red", "blue"}, "a {}")));
  CHECK(dir.file_count() == 1);
  head({"blue", "red"}, "a {}");
  head({"red", "blue"}, "one {}");
  CHECK(dir.file_count() == 3);
  model.initialize(4);
  CHECK(!same_bits(first, head({"red", "blue"}, "a {}")));
}

TEST_CASE("zero-shot: a cached head with a flipped byte is built again") {
  const TempDir dir;
  Clip model(tiny_config());
  model.initialize(3);
  const Tokenizer tokenizer = squares_tokenizer();
  const auto head = [&] {
    return cached_zero_shot_head(model, tokenizer, {"red", "blue"}, {"a {}"}, dir.path());
  };
  const Tensor first = head();
  const std::string path = std::filesystem::directory_iterator(dir.path())->path();
  const std::string good = get_file(path);
  std::string bytes = good;
  bytes[bytes.size() - 2] ^= 1;
  put_file(path, bytes);
  CHECK(same_bits(first, head()));
  CHECK(get_file(path) == good);
}

TEST_CASE("zero-shot: a prompt longer than the context is an error, unless it may be cut") {
  const TempDir dir;
  Clip model(tiny_config());
  model.initialize(3);
  const Tokenizer tokenizer = squares_tokenizer();
  const auto head = [&](Overflow overflow) {
    return cached_zero_shot_head(model, tokenizer, {"red", "blue"},
                                 {"a {} square in a far longer sentence than fits"}, dir.path(),
                                 overflow);
  };
  CHECK(head(Overflow::truncate).shape() == Shape{2, model.config().embed_dim});
  CHECK(contains(error_of([&] { head(Overflow::error); }), "a far longer sentence"));  // no cache
}

TEST_CASE("vocabulary: the environment comes before the model's folder, and must name a file") {
  const TempDir dir;
  const char* before = std::getenv("DIPTYCH_VOCAB");
  const std::string saved = before ? before : "";
  put_file(dir / kVocabularyName, "beside");
  put_file(dir / "named", "named");
  unsetenv("DIPTYCH_VOCAB");
  CHECK(find_vocabulary(dir / "model.safetensors") == dir / kVocabularyName);
  setenv("DIPTYCH_VOCAB", (dir / "named").c_str(), 1);
  CHECK(find_vocabulary(dir / "model.safetensors") == dir / "named");
  setenv("DIPTYCH_VOCAB", (dir / "absent").c_str(), 1);
  CHECK(contains(error_of([] { find_vocabulary(); }), "DIPTYCH_VOCAB names"));
  before ? setenv("DIPTYCH_VOCAB", saved.c_str(), 1) : unsetenv("DIPTYCH_VOCAB");
}

TEST_CASE("zero-shot: NaN in a picture is an error that names the picture") {
  const Clip model(tiny_config());
  Tensor pixels = zeros({3, 3, 8, 8});
  pixels.slice(0, 1, 2).fill_(std::numeric_limits<double>::quiet_NaN());
  CHECK(contains(error_of([&] { encode_pixels(model, pixels); }), "picture 1 contains NaN"));
}
