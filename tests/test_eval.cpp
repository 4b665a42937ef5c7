// tests/test_eval.cpp — encoding in batches, ranking, averages over rankings.
#include <doctest/doctest.h>

#include <limits>

#include "clip/eval/accuracy.h"
#include "clip/eval/encode.h"
#include "clip/eval/zero_shot.h"
#include "tests/squares.h"

using namespace diptych;
using namespace diptych::test;

namespace {

ModelConfig config_for(const Tokenizer& tokenizer) {
  ModelConfig config = tiny_config();
  config.text.vocab_size = tokenizer.vocab_size();
  return config;
}

const auto kAll = [](int64_t) { return true; };

}  // namespace

TEST_CASE("encode: more texts and pictures than one batch holds, each with its own features") {
  const Tokenizer tokenizer = squares_tokenizer();
  Clip model(config_for(tokenizer));
  model.initialize(2);
  std::vector<std::string> texts;
  for (int i = 0; i < 300; ++i) texts.push_back(kWords[static_cast<size_t>(i % 3)]);
  const Tensor all = encode_texts(model, tokenizer, texts);
  REQUIRE(all.dim(0) == 300);
  const Tensor pixels = randn({300, 3, 8, 8}, {4, 0}), features = encode_pixels(model, pixels);
  REQUIRE(features.dim(0) == 300);
  for (const int64_t i : {0, 127, 128, 255, 256, 299}) {
    CAPTURE(i);
    const Tensor one = encode_texts(model, tokenizer, {texts[static_cast<size_t>(i)]});
    CHECK(same_bits(all.slice(0, i, i + 1), one));
    CHECK(same_bits(features.slice(0, i, i + 1), encode_pixels(model, pixels.slice(0, i, i + 1))));
  }
}

TEST_CASE("accuracy: the five best are kept, and equals stand in the order of their index") {
  const Tokenizer tokenizer = squares_tokenizer();
  Clip model(config_for(tokenizer));
  model.initialize(2);
  const Squares data(3);
  Loader loader(data, tokenizer, {.workers = 0, .context_length = 8, .shuffle = false});
  const Tensor equal = full({7, model.config().embed_dim}, 0.25);
  const Predictions found = classify_dataset(model, equal, loader);
  CHECK(found.labels == std::vector<int64_t>{0, 1, 2});
  for (const auto& ranked : found.ranked) CHECK(ranked == std::vector<int64_t>{0, 1, 2, 3, 4});
}

TEST_CASE("accuracy: shares of first and of five, and recall averaged over classes, by hand") {
  Predictions p;
  p.labels = {0, 0, 0, 1};
  p.ranked = {{0, 1, 2, 3, 4}, {1, 2, 3, 4, 0}, {1, 2, 3, 4, 5}, {1, 0, 2, 3, 4}};
  const Accuracy all = accuracy(p, kAll);
  CHECK(all.pictures == 4);
  CHECK(all.acc1 == 0.5);
  CHECK(all.acc5 == 0.75);
  CHECK(all.mean_per_class_recall == doctest::Approx((1.0 / 3 + 1) / 2));
  const Accuracy zeros = accuracy(p, [](int64_t label) { return label == 0; });
  CHECK(zeros.pictures == 3);
  CHECK(zeros.acc1 == doctest::Approx(1.0 / 3));
  CHECK(accuracy(Predictions{}, kAll).pictures == 0);
}

TEST_CASE("eval: every picture has a prediction or is named as left out") {
  const Tokenizer tokenizer = squares_tokenizer();
  Clip model(config_for(tokenizer));
  model.initialize(2);
  const Squares data(11, /*damaged=*/true);
  Loader loader(data, tokenizer,
                {.batch_size = 4, .workers = 0, .context_length = 8, .shuffle = false});
  const Tensor head = zero_shot_head(model, tokenizer, kWords, {"a {} one"});
  std::vector<int64_t> done;
  const Predictions found =
      classify_dataset(model, head, loader, [&](int64_t n) { done.push_back(n); });
  CHECK(found.labels.size() == 10);
  REQUIRE(found.left_out.size() == 1);
  CHECK(found.left_out[0].name == "square 5");
  CHECK(contains(found.left_out[0].reason, "truncated"));
  CHECK(done == std::vector<int64_t>{4, 8, 11});
}

TEST_CASE("eval: labels that become the same tokens are refused, both by name") {
  const Tokenizer tokenizer = squares_tokenizer();
  Clip model(config_for(tokenizer));
  model.initialize(2);
  const auto error = [&](const std::vector<std::string>& names, const char* prompt) {
    return error_of([&] {
      zero_shot_head(model, tokenizer, names, {"{}", prompt}, Overflow::truncate);
    });
  };
  CHECK(error({"red", "green"}, "a {} one") == "");
  const std::string cut = error({"red", "zqxjkv1", "zqxjkv2"}, "{}");  // six letters are read
  CHECK(contains(cut, "'zqxjkv1' and 'zqxjkv2' are the same tokens in '{}'"));
  CHECK(contains(cut, "behind the 8 tokens"));
  CHECK(contains(error({"red", "green"}, "zqxjkv {}"), "in 'zqxjkv {}'"));
  CHECK(contains(error({"red", " Red"}, "a {} one"), "neither case nor spaces"));
}

TEST_CASE("eval: features and logits that are not numbers are no result") {
  const Tokenizer tokenizer = squares_tokenizer();
  Clip model(config_for(tokenizer));
  model.initialize(2);
  const Tensor head = zero_shot_head(model, tokenizer, kWords, {"a {} one"});
  const Tensor pixels = randn({3, 3, 8, 8}, {4, 0});
  model.logit_scale().detach().fill_(1000);  // its exponential is infinite
  CHECK(contains(error_of([&] { zero_shot_logits(model, head, pixels); }),
                 "classify: row of logits 0 contains NaN or infinity"));
  for (const auto& entry : model.named_parameters())
    if (entry.name == "visual.proj" || entry.name == "text_projection")
      entry.tensor.detach().fill_(std::numeric_limits<double>::quiet_NaN());
  CHECK(contains(error_of([&] { encode_pixels(model, pixels); }), "encode: row 0 contains NaN"));
  CHECK(contains(error_of([&] { encode_texts(model, tokenizer, {"red"}); }), "encode: row 0"));
}
