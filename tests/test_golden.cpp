// tests/test_golden.cpp — tiny CLIPs, one per kind of image tower, against open_clip: features,
// loss, every gradient, running statistics, ten AdamW steps.
#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "clip/loss.h"
#include "clip/weights/model_file.h"
#include "data/text/captions.h"
#include "nn/adamw.h"
#include "nn/schedule.h"
#include "tensor/io/safetensors.h"
#include "tests/devices.h"

using namespace diptych;

namespace {

const std::string kFolder = "tests/golden/";

struct Golden {
  explicit Golden(const std::string& model = "clip", Device device_ = Device::cpu)
      : device(device_),
        stem(kFolder + "tiny_" + model),
        loaded(load_model(stem + ".safetensors")),
        expected(load_safetensors(stem + "_expected.safetensors")),
        captions(pack_padded(get("tokens")).to(device)) {
    loaded.model->to(device);
  }

  Device device;
  std::string stem;
  LoadedModel loaded;
  SafeTensors expected;
  Captions captions;

  const Tensor& get(const std::string& name) const {
    const Tensor* tensor = expected.find(name);
    check(tensor != nullptr, "golden: no ", name);
    return *tensor;
  }
  Tensor pixels() const { return get("pixels").to(DType::f32).to(device); }
  Tensor loss() const { return model_loss(*loaded.model, pixels(), captions); }
};

/// Calls f(model's name, device) for each model on each device.
template <class F>
void for_each_model(const F& f) {
  for (const char* model : {"clip", "resnet"}) {
    for (const Device device : test::devices()) {
      CAPTURE(model);
      INFO("on ", device);
      f(model, device);
    }
  }
}

double largest(const Tensor& x) {
  double size = 0;
  for (const double v : x.to_vector<double>()) size = std::max(size, std::fabs(v));
  return size;
}

double difference(const Tensor& got, const Tensor& want) {
  REQUIRE(got.shape() == want.shape());
  const auto a = got.to_vector<double>(), b = want.to_vector<double>();
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::fabs(a[i] - b[i]));
  return worst;
}

// Largest difference, relative to the largest value of the tensor: single elements may be zero.
double relative_error(const Tensor& got, const Tensor& want) {
  return difference(got, want) / largest(want);
}

}  // namespace

TEST_CASE("golden: features, logits and loss equal open_clip's to 1e-5") {
  for_each_model([](const char* model, Device device) {
    const Golden golden(model, device);
    const Clip& clip = *golden.loaded.model;
    golden.loaded.model->train();
    const Tensor image = clip.encode_image(golden.pixels());
    const Tensor text = clip.encode_text(golden.captions);
    const Tensor logits = logits_per_image(image, text, clip.logit_scale()),
                 loss = contrastive_loss(image, text, clip.logit_scale());
    CHECK(relative_error(image, golden.get("image_features")) < 1e-5);
    CHECK(relative_error(text, golden.get("text_features")) < 1e-5);
    CHECK(relative_error(logits, golden.get("logits_per_image")) < 1e-5);
    CHECK(relative_error(loss, golden.get("loss")) < 1e-5);
  });
}

TEST_CASE("golden: every parameter gradient equals open_clip's to 1e-4") {
  for_each_model([](const char* model, Device device) {
    const Golden golden(model, device);
    const SafeTensors expected = load_safetensors(golden.stem + "_grads.safetensors");
    golden.loaded.model->train();
    backward(golden.loss());
    size_t compared = 0;
    for (const auto& entry : golden.loaded.model->named_parameters()) {
      CAPTURE(entry.name);
      const Tensor* want = expected.find("grad." + entry.name);
      REQUIRE(want != nullptr);
      // A softmax ignores what all keys have in common: this gradient is zero but for rounding, so
      // it is measured by that of the weights beside it.
      const bool zero = entry.name == "visual.attnpool.k_proj.bias";
      const Tensor* unit = zero ? expected.find("grad.visual.attnpool.k_proj.weight") : want;
      CHECK(difference(grad(entry.tensor), *want) < 1e-4 * largest(*unit));
      ++compared;
    }
    CHECK(compared == expected.tensors.size());
  });
}

TEST_CASE("golden: a loaded ResNet evaluates by its running statistics, and training moves them") {
  for (const Device device : test::devices()) {
    INFO("on ", device);
    const Golden golden("resnet", device);
    Clip& model = *golden.loaded.model;
    const Tensor features = model.encode_image(golden.pixels());
    CHECK(relative_error(features, golden.get("eval.image_features")) < 1e-5);

    model.train();
    model.encode_image(golden.pixels());
    size_t compared = 0;
    for (const auto& entry : model.state()) {
      if (entry.trained) continue;
      CAPTURE(entry.name);
      CHECK(relative_error(entry.tensor, golden.get("after." + entry.name)) < 1e-5);
      ++compared;
    }
    CHECK(compared == 3 * 22);  // mean, variance and count of every batch norm
  }
}

TEST_CASE("golden: ten AdamW steps have PyTorch's losses to 1e-4") {
  for (const Device device : test::devices()) {
    INFO("on ", device);
    const Golden golden("clip", device);
    Clip& model = *golden.loaded.model;
    nn::AdamW optimizer(model, {.beta1 = 0.9, .beta2 = 0.98, .eps = 1e-6, .weight_decay = 0.2});
    for (const double want : golden.get("adamw.losses").to_vector<double>()) {
      const Tensor loss = golden.loss();
      CHECK(loss.item() == doctest::Approx(want).epsilon(1e-4));
      backward(loss);
      optimizer.step(1e-3, nn::grad_squares(model));
      model.zero_grad();
    }
  }
}

TEST_CASE("golden: recomputing activations changes no gradient and no running statistic") {
  for (const char* kind : {"clip", "resnet"}) {
    const Golden plain(kind), again(kind);
    for (const auto& entry : again.loaded.model->named_parameters())
      CHECK(!grad(entry.tensor).defined());
    again.loaded.model->set_checkpointing(true);
    for (const Golden* golden : {&plain, &again}) {
      golden->loaded.model->train();
      backward(golden->loss());
    }
    const auto a = plain.loaded.model->state(), b = again.loaded.model->state();
    for (size_t i = 0; i < a.size(); ++i) {
      CAPTURE(a[i].name);
      const auto values = [](const nn::Module::Entry& e) {
        return (e.trained ? grad(e.tensor) : e.tensor).to_vector<double>();
      };
      CHECK(values(a[i]) == values(b[i]));
    }
  }
}

TEST_CASE("golden: a caption has the same features alone and among others") {
  const Golden golden;
  const Clip& model = *golden.loaded.model;
  const Tensor text = model.encode_text(golden.captions);
  for (int64_t b = 0; b < 5; ++b) {
    const Tensor alone = golden.get("tokens").slice(0, b, b + 1);
    const Tensor one = model.encode_text(pack_padded(alone));
    CHECK(relative_error(one, text.slice(0, b, b + 1)) < 1e-6);
  }
}

TEST_CASE("golden: a TorchScript archive opens by itself, sizes and activation inferred") {
  const std::string file = kFolder + "tiny_script.pt";
  const LoadedModel loaded = load_model(file);
  CHECK(loaded.notes.find("activation quick_gelu: from the code") != std::string::npos);
  const SafeTensors expected = load_safetensors(kFolder + "tiny_script_expected.safetensors");
  const Captions captions = pack_padded(*expected.find("tokens"));
  const Tensor pixels = expected.find("pixels")->to(DType::f32);
  const Tensor image = loaded.model->encode_image(pixels),
               text = loaded.model->encode_text(captions);
  CHECK(relative_error(image, *expected.find("image_features")) < 1e-5);
  CHECK(relative_error(text, *expected.find("text_features")) < 1e-5);
}

TEST_CASE("golden: the schedule is open_clip's") {
  std::ifstream file(kFolder + "schedule.json");
  const auto golden = nlohmann::json::parse(file);
  const auto& rates = golden.at("lr");
  REQUIRE(rates.size() == 100);
  for (size_t step = 0; step < rates.size(); ++step) {
    CHECK(nn::cosine_with_warmup(static_cast<int64_t>(step), 5e-4, 10, 100) ==
          doctest::Approx(rates[step].get<double>()).epsilon(1e-12));
  }
}
