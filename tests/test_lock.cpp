// tests/test_lock.cpp — parts of a model that are not trained.
#include <doctest/doctest.h>

#include <map>

#include "clip/train/step.h"
#include "nn/adamw.h"
#include "tests/squares.h"

using namespace diptych;
using namespace diptych::test;

namespace {

ModelConfig resnet_config() {
  ModelConfig c = tiny_config();
  c.vision = nn::ResNetConfig{8, {1, 1, 1, 1}, 4};
  c.preprocess.size = 32;
  return c;
}

/// The names of parameters and buffers that three steps change.
std::set<std::string> changed_by_training(Clip& model, PrecisionConfig precision = {}) {
  model.use(precision);
  model.train();
  std::map<std::string, Tensor> before;
  for (const auto& entry : model.state()) before[entry.name] = entry.tensor.clone();
  nn::AdamW optimizer(model, {.weight_decay = 0.5});
  const int64_t R = model.config().image_size();
  for (uint64_t step = 0; step < 3; ++step) {
    const Tensor pixels = randn({4, model.config().channels(), R, R}, {step, 1});
    accumulate_gradients(model, pixels, pack({{1, 3, 9}, {1, 4, 9}, {1, 5, 6, 9}, {1, 7, 9}}));
    optimizer.step(1e-2, nn::grad_squares(model));
    model.zero_grad();
  }
  std::set<std::string> changed;
  for (const auto& entry : model.state())
    if (!same_bits(entry.tensor, before[entry.name])) changed.insert(entry.name);
  return changed;
}

bool any_begins(const std::set<std::string>& names, const std::string& prefix) {
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& name) { return name.starts_with(prefix); });
}

}  // namespace

TEST_CASE("lock: a locked tower keeps every bit, statistics too, and the other learns") {
  for (const ModelConfig& config : {tiny_config(), resnet_config()}) {
    for (const Precision precision : {Precision::fp32, Precision::amp_bf16, Precision::pure_bf16}) {
      CAPTURE(name(precision));
      Clip images(config), texts(config);
      images.initialize(1);
      texts.initialize(1);
      images.lock_image();
      const auto by_texts = changed_by_training(images, {precision});
      CHECK_FALSE(any_begins(by_texts, "visual."));
      CHECK(by_texts.contains("token_embedding.weight"));
      CHECK(by_texts.contains("logit_scale"));
      texts.lock_text();
      const auto by_images = changed_by_training(texts, {precision});
      CHECK(any_begins(by_images, "visual.conv1"));
      CHECK_FALSE(by_images.contains("token_embedding.weight"));
      CHECK_FALSE(any_begins(by_images, "transformer."));
    }
  }
}

TEST_CASE("lock: it keeps no graph and no moments") {
  Clip model(tiny_config());
  model.initialize(1);
  const auto count = [&] { return nn::AdamW(model, {}).state().size(); };
  const size_t all = count();
  const int64_t R = model.config().image_size();
  const Tensor pixels = randn({2, model.config().channels(), R, R}, {1, 1});
  CHECK(needs_grad(model.encode_image(pixels)));
  model.lock_image();
  CHECK_FALSE(needs_grad(model.encode_image(pixels)));
  CHECK(count() < all);
  for (const NamedTensor& moment : nn::AdamW(model, {}).state())
    CHECK_FALSE(contains(moment.name, "visual."));
  model.lock_text();
  CHECK(count() == 2);  // of the temperature
}

TEST_CASE("lock: the last groups of an image tower may stay unlocked, counted as in open_clip") {
  ModelConfig config = tiny_config();
  config.vit()->transformer.layers = 3;
  const auto trained = [&](int64_t unlocked) {
    Clip model(config);
    model.initialize(1);
    model.lock_image(unlocked);
    return changed_by_training(model);
  };
  const auto one = trained(1), two = trained(2), three = trained(3), five = trained(5);
  CHECK(one.contains("visual.proj"));
  CHECK_FALSE(any_begins(one, "visual.ln_post"));
  CHECK(any_begins(two, "visual.ln_post"));
  CHECK(any_begins(two, "visual.transformer.resblocks.2."));
  CHECK_FALSE(any_begins(two, "visual.transformer.resblocks.1."));
  CHECK(any_begins(three, "visual.transformer.resblocks.1."));
  CHECK_FALSE(any_begins(three, "visual.conv1"));
  CHECK(any_begins(five, "visual.conv1"));
  CHECK(contains(error_of([&] { trained(6); }), "6 groups of the image tower"));
  Clip resnet(resnet_config());
  CHECK(contains(error_of([&] { resnet.lock_image(1); }), "a ResNet is locked as a whole"));
}

TEST_CASE("lock: gradients of what is trained do not depend on what is not") {
  Clip free(tiny_config()), locked(tiny_config());
  free.initialize(1);
  locked.initialize(1);
  locked.lock_image();
  const int64_t R = free.config().image_size();
  const Tensor pixels = randn({3, free.config().channels(), R, R}, {1, 1});
  const Captions captions = pack({{1, 3, 9}, {1, 4, 9}, {1, 5, 6, 9}});
  CHECK(same_bits(accumulate_gradients(free, pixels, captions),
                  accumulate_gradients(locked, pixels, captions)));
  const auto a = free.named_parameters(), b = locked.named_parameters();
  for (size_t i = 0; i < a.size(); ++i)
    if (needs_grad(b[i].tensor)) CHECK(same_bits(grad(a[i].tensor), grad(b[i].tensor)));
}
