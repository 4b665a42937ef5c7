// tests/test_device_steps.cpp — ten steps of training on a device follow those of the CPU, and
// repeat themselves bit by bit.
#include <doctest/doctest.h>

#include <cmath>

#include "clip/train/step.h"
#include "nn/adamw.h"
#include "tests/devices.h"

using namespace diptych;

namespace {

constexpr int64_t kBatch = 8, kSteps = 10;

Captions random_captions(const ModelConfig& c, uint64_t step) {
  PhiloxStream rng(3, step);
  std::vector<std::vector<int64_t>> captions(kBatch);
  for (size_t b = 0; b < captions.size(); ++b)
    for (size_t t = 0; t < 4 + b % 3; ++t) captions[b].push_back(rng.below(c.text.vocab_size));
  return pack(captions);
}

/// The losses of the steps, then the parameters they end with.
struct Run {
  std::vector<double> losses;
  std::vector<std::vector<double>> parameters;
};

Run train(const char* preset_name, Device device) {
  ModelConfig c = preset(preset_name);
  c.text.vocab_size = 520;
  Clip model(c);
  model.initialize(1);
  model.to(device);
  model.train();
  nn::AdamW optimizer(model, {.weight_decay = 0.05});
  Run run;
  for (uint64_t step = 0; step < kSteps; ++step) {
    const Tensor pixels = randn({kBatch, c.channels(), c.image_size(), c.image_size()}, {2, step});
    const Tensor loss =
        accumulate_gradients(model, pixels.to(device), random_captions(c, step).to(device));
    optimizer.step(5e-4, nn::grad_squares(model), 1);
    model.zero_grad();
    run.losses.push_back(loss.item());
  }
  for (const Tensor& p : model.parameters()) run.parameters.push_back(p.to_vector<double>());
  return run;
}

// How far the losses may part: rounding alone moves them by 3e-7 and, where batch norm divides by
// the spread of eight pictures, by 2e-5 (the CPU's kernels, compiled to round otherwise).
void check_follows(const char* preset_name, double limit) {
  const Run expected = train(preset_name, Device::cpu);
  for (const Device device : test::devices()) {
    if (device == Device::cpu) continue;
    const Run run = train(preset_name, device);
    for (size_t step = 0; step < expected.losses.size(); ++step) {
      CAPTURE(step);
      CHECK(std::fabs(run.losses[step] - expected.losses[step]) <=
            limit * std::fabs(expected.losses[step]));
    }
    const Run again = train(preset_name, device);
    CHECK(again.losses == run.losses);
    CHECK(again.parameters == run.parameters);
  }
}

}  // namespace

TEST_CASE("device steps: a ViT's losses are the CPU's to 1e-5, and the same bits every time") {
  check_follows("fashion", 1e-5);
}

TEST_CASE("device steps: a ResNet's losses are the CPU's to 1e-4, and the same bits every time") {
  check_follows("tiny-resnet", 1e-4);
}
