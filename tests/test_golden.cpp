// tests/test_golden.cpp — a tiny CLIP against PyTorch: features, loss, every gradient, ten AdamW
// steps.
#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "clip/inputs.h"
#include "clip/loss.h"
#include "clip/model_file.h"
#include "nn/optim.h"
#include "nn/schedule.h"
#include "tensor/safetensors.h"

using namespace diptych;

namespace {

const std::string kFolder = "tests/golden/";

struct Golden {
  LoadedModel loaded = load_model(kFolder + "tiny_clip.safetensors");
  SafeTensors expected = load_safetensors(kFolder + "tiny_clip_expected.safetensors");
  PackedTokens packed = pack_tokens(get("tokens"));

  const Tensor& get(const std::string& name) const {
    const Tensor* tensor = expected.find(name);
    check(tensor != nullptr, "golden: no ", name);
    return *tensor;
  }
  ContrastiveLoss loss() const {
    const Clip& model = *loaded.model;
    return contrastive_loss(model.encode_image(get("pixels")),
                            model.encode_text(packed.tokens, packed.offsets), model.logit_scale());
  }
};

// Largest difference, relative to the largest value of the tensor: single elements may be zero.
double relative_error(const Tensor& got, const Tensor& want) {
  REQUIRE(got.shape() == want.shape());
  const auto a = got.to_vector<double>(), b = want.to_vector<double>();
  double difference = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference = std::max(difference, std::fabs(a[i] - b[i]));
    size = std::max(size, std::fabs(b[i]));
  }
  return difference / size;
}

}  // namespace

TEST_CASE("golden: features, logits and loss equal PyTorch's to 1e-5") {
  const Golden golden;
  const Clip& model = *golden.loaded.model;
  const Tensor image = model.encode_image(golden.get("pixels"));
  const Tensor text = model.encode_text(golden.packed.tokens, golden.packed.offsets);
  const ContrastiveLoss out = contrastive_loss(image, text, model.logit_scale());
  CHECK(relative_error(image, golden.get("image_features")) < 1e-5);
  CHECK(relative_error(text, golden.get("text_features")) < 1e-5);
  CHECK(relative_error(out.logits_per_image, golden.get("logits_per_image")) < 1e-5);
  CHECK(relative_error(out.loss, golden.get("loss")) < 1e-5);
}

TEST_CASE("golden: every parameter gradient equals PyTorch's to 1e-4") {
  const Golden golden;
  const SafeTensors expected = load_safetensors(kFolder + "tiny_clip_grads.safetensors");
  backward(golden.loss().loss);
  size_t compared = 0;
  for (const auto& entry : golden.loaded.model->state()) {
    CAPTURE(entry.name);
    const Tensor* want = expected.find("grad." + entry.name);
    REQUIRE(want != nullptr);
    CHECK(relative_error(grad(entry.tensor), *want) < 1e-4);
    ++compared;
  }
  CHECK(compared == expected.tensors.size());
}

TEST_CASE("golden: ten AdamW steps have PyTorch's losses to 1e-4") {
  const Golden golden;
  Clip& model = *golden.loaded.model;
  nn::AdamW optimizer(model, {.beta1 = 0.9, .beta2 = 0.98, .eps = 1e-6, .weight_decay = 0.2});
  for (const double want : golden.get("adamw.losses").to_vector<double>()) {
    const Tensor loss = golden.loss().loss;
    CHECK(loss.item() == doctest::Approx(want).epsilon(1e-4));
    backward(loss);
    optimizer.step(1e-3);
    model.clamp_logit_scale();
    model.zero_grad();
  }
}

TEST_CASE("golden: recomputing activations changes no gradient") {
  const Golden plain, again;
  for (const auto& entry : again.loaded.model->state()) CHECK(!grad(entry.tensor).defined());
  again.loaded.model->set_checkpointing(true);
  backward(plain.loss().loss);
  backward(again.loss().loss);
  const auto a = plain.loaded.model->state(), b = again.loaded.model->state();
  for (size_t i = 0; i < a.size(); ++i) {
    CAPTURE(a[i].name);
    CHECK(grad(a[i].tensor).to_vector<float>() == grad(b[i].tensor).to_vector<float>());
  }
}

TEST_CASE("golden: a caption has the same features alone and among others") {
  const Golden golden;
  const Clip& model = *golden.loaded.model;
  const Tensor text = model.encode_text(golden.packed.tokens, golden.packed.offsets);
  const auto ends = golden.packed.offsets.to_vector<int64_t>();
  for (int64_t b = 0; b < 5; ++b) {
    const int64_t T = ends[static_cast<size_t>(b) + 1] - ends[static_cast<size_t>(b)];
    const Tensor alone =
        golden.get("tokens").slice(0, b, b + 1).slice(1, 0, T).contiguous().view({T});
    const Tensor one = model.encode_text(alone, from_vector<int64_t>({0, T}, {2}));
    CHECK(relative_error(one, text.slice(0, b, b + 1)) < 1e-6);
  }
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
