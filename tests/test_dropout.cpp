// tests/test_dropout.cpp — what training leaves out by chance.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "clip/train/step.h"
#include "tests/program.h"

using namespace diptych;
using namespace diptych::test;

namespace {

ModelConfig deep_config() {
  ModelConfig c = tiny_config();
  c.preprocess.size = 16;  // 16 patches
  c.vit()->transformer.layers = c.text.transformer.layers = 3;
  return c;
}

Tensor pixels_of(const ModelConfig& c, int64_t B) {
  return randn({B, c.channels(), c.image_size(), c.image_size()}, {1, 1});
}

const std::vector<std::vector<int64_t>> kCaptions = {{1, 3, 9}, {1, 4, 9}, {1, 5, 6, 9}};

}  // namespace

TEST_CASE("dropout: the share left out is the rate, the mean stays, each word decides once") {
  const Tensor x = full({400, 1001}, 1);
  for (const double rate : {0.1, 0.5, 0.9}) {
    const auto y = dropout(x, rate, {3, 4}).to_vector<float>();
    double zeros = 0, total = 0;
    for (const float v : y) {
      zeros += v == 0;
      total += v;
      CHECK((v == 0 || v == static_cast<float>(1 / (1 - rate))));
    }
    const auto n = static_cast<double>(y.size());
    const double sigma = std::sqrt(rate * (1 - rate) / n);
    CHECK(std::fabs(zeros / n - rate) < 4.5 * sigma);
    CHECK(std::fabs(total / n - 1) < 4.5 * sigma / (1 - rate));
  }
  CHECK(same_bits(dropout(x, 0.5, {3, 4}), dropout(x, 0.5, {3, 4})));
  CHECK_FALSE(same_bits(dropout(x, 0.5, {3, 4}), dropout(x, 0.5, {3, 5})));
  CHECK_FALSE(same_bits(dropout(x, 0.5, {3, 4}), dropout(x, 0.5, {4, 4})));
}

TEST_CASE("dropout: another step leaves out something else, evaluation nothing") {
  const ModelConfig config = deep_config();
  Clip model(config);
  model.initialize(1);
  const Tensor pixels = pixels_of(config, 2);
  const Captions captions = pack(kCaptions);
  for (const auto& [rate, patches] : {std::pair{0.4, 0.0}, std::pair{0.0, 0.5}}) {
    const auto image = [&, r = rate, p = patches](int64_t step) {
      model.set_dropping(r, p, 5, step);
      return model.encode_image(pixels).detach();
    };
    model.train();
    CHECK(same_bits(image(3), image(3)));
    CHECK_FALSE(same_bits(image(3), image(4)));
    model.eval();
    CHECK(same_bits(image(3), image(4)));
  }
  model.train();
  model.set_dropping(0.4, 0, 5, 1);
  const Tensor text = model.encode_text(captions).detach();
  model.set_dropping(0.4, 0, 5, 2);
  CHECK_FALSE(same_bits(model.encode_text(captions), text));
}

TEST_CASE("dropout: recomputed blocks leave out the same, so gradients have the same bits") {
  const ModelConfig config = deep_config();
  std::vector<Tensor> gradients[2];
  for (const bool checkpointing : {false, true}) {
    Clip model(config);
    model.initialize(1);
    model.train();
    model.set_checkpointing(checkpointing);
    model.set_dropping(0.3, 0.25, 5, 7);
    accumulate_gradients(model, pixels_of(config, 3), pack(kCaptions));
    for (const Tensor& p : model.parameters()) gradients[checkpointing].push_back(grad(p).clone());
  }
  for (size_t i = 0; i < gradients[0].size(); ++i)
    CHECK(same_bits(gradients[0][i], gradients[1][i]));
}

TEST_CASE("patch dropout: of every picture as many patches stay, other ones, and never none") {
  const ModelConfig config = deep_config();
  Clip model(config);
  model.initialize(1);
  model.train();
  // A step costs what is left: every operator's rows are counted.
  const auto rows = [&](double patches) {
    model.set_dropping(0, patches, 5, 1);
    int64_t most = 0;
    const OpWatch watch([&](const char* op, const Tensor& x, bool) {
      if (std::string(op) == "layer_norm") most = std::max(most, x.dim(0));
    });
    model.encode_image(pixels_of(config, 3));
    return most;
  };
  CHECK(rows(0) == 3 * 17);
  CHECK(rows(0.5) == 3 * 9);
  CHECK(rows(0.3) == 3 * 12);  // ⌊16 · 0.7⌋ = 11, and the class token
  CHECK(rows(0.99) == 3 * 2);
  // Two equal pictures do not lose the same patches.
  model.set_dropping(0, 0.5, 5, 1);
  Tensor pixels = pixels_of(config, 2);
  pixels.select(0, 1).copy_(pixels.select(0, 0));
  const Tensor features = model.encode_image(pixels).detach();
  CHECK_FALSE(same_bits(select(features, 0, 0).contiguous(), select(features, 0, 1).contiguous()));
}

TEST_CASE("dropout: a run with it that is resumed ends with the same bits") {
  const TempDir dir;
  TrainConfig config = squares_training();
  config.dropout = 0.2;
  config.patch_dropout = 0.25;
  const std::string whole = train_squares(config, dir / "whole");
  train_squares(config, dir / "half");
  std::filesystem::remove_all(newest_checkpoint(dir / "half"));
  CHECK(train_squares(config, dir / "half", /*resume=*/true) == whole);
  TrainConfig without = config;
  without.dropout = without.patch_dropout = 0;
  CHECK(train_squares(without, dir / "without") != whole);
}

TEST_CASE("dropout: a tower that is locked in part leaves out where it learns, nothing where not") {
  const ModelConfig config = deep_config();
  const int64_t blocks = config.vit()->transformer.layers;
  REQUIRE(blocks >= 2);
  for (const int64_t unlocked : {int64_t{1}, int64_t{2}, blocks + 2}) {
    CAPTURE(unlocked);
    Clip model(config);
    model.initialize(1);
    model.train();
    model.lock_image(unlocked);
    const auto image = [&](double rate, double patches) {
      int drops = 0;
      const OpWatch watch(
          [&](const char* op, const Tensor&, bool) { drops += std::string(op) == "dropout"; });
      model.set_dropping(rate, patches, 5, 1);
      return std::pair{drops, model.encode_image(pixels_of(config, 3)).detach()};
    };
    const Tensor whole = image(0, 0).second;
    CHECK(image(0.4, 0).first == 2 * std::clamp<int64_t>(unlocked - 1, 0, blocks));
    CHECK(same_bits(image(0, 0.5).second, whole) == (unlocked == 1));
  }
}

TEST_CASE("dropout: a ResNet has none") {
  ModelConfig config = tiny_config();
  config.vision = nn::ResNetConfig{8, {1, 1, 1, 1}, 4};
  config.preprocess.size = 32;
  Clip model(config);
  CHECK(
      contains(error_of([&] { model.set_dropping(0.1, 0, 1, 1); }), "a ResNet leaves nothing out"));
  model.lock_image();
  model.set_dropping(0.1, 0, 1, 1);  // of the text tower
}

TEST_CASE("dropout: the flags beside a lock are obeyed where there is something left to train") {
  REQUIRE_BINARY();
  const TempDir dir;
  for (const char* obeyed :
       {"--lock-image --dropout 0.5", "--lock-text --dropout 0.5",
        "--lock-text --patch-dropout 0.5",
        "--lock-image --lock-image-unlocked-groups 2 --lock-text --dropout 0.5",
        "--lock-image --lock-image-unlocked-groups 2 --patch-dropout 0.5",
        "--lock-image --dropout 0.5 --set text.type=cbow"}) {
    CAPTURE(std::string(obeyed));
    std::filesystem::remove_all(dir / "run");
    const Outcome run = diptych_run(small_run(dir, 1) + obeyed);
    CHECK_MESSAGE(run.exit_code == 0, run.err);
  }
  std::filesystem::remove_all(dir / "run");
  const std::string resnet = small_run(dir, 1) + "--model tiny-resnet ";
  for (const char* idle :
       {"--dropout 0.5", "--patch-dropout 0.5", "--lock-image --patch-dropout 0.5",
        "--lock-image --lock-text --dropout 0.5"})
    CHECK(diptych_run(resnet + idle).exit_code == 2);
  CHECK(diptych_run(resnet + "--lock-image --dropout 0.5").exit_code == 0);
}
