// examples/04_train_clip.cpp — CLIP in sixty lines: coloured squares and their captions.
#include <cmath>
#include <iostream>

#include "clip/eval/zero_shot.h"
#include "clip/loss.h"
#include "data/text/tokenizer.h"
#include "nn/adamw.h"
#include "nn/schedule.h"

using namespace diptych;

namespace {

const std::vector<std::string> kNames = {"red", "green", "blue", "white"};
constexpr int64_t kSide = 8, kBatch = 16, kSteps = 60;

// Square i of step `step`: a noisy picture whose class is i mod 4.
Tensor pictures(int64_t step) {
  std::vector<float> pixels =
      randn({kBatch, 3, kSide, kSide}, {.seed = 1, .stream = static_cast<uint64_t>(step)})
          .to_vector<float>();
  for (size_t i = 0; i < pixels.size(); ++i) {
    const size_t plane = kSide * kSide, channel = i / plane % 3, name = i / (3 * plane) % 4;
    pixels[i] = 0.5f * pixels[i] + (name == 3 || channel == name ? 1.0f : -1.0f);
  }
  return from_vector(pixels, {kBatch, 3, kSide, kSide});
}

ModelConfig small_config(const Tokenizer& tokenizer) {
  ModelConfig c = preset("tiny");
  c.preprocess.size = kSide;
  c.vit()->patch_size = 4;
  c.preprocess.channels = 3;
  c.text.vocab_size = tokenizer.vocab_size();
  return c;
}

}  // namespace

int main() {
  std::vector<std::string> captions;
  for (const auto& name : kNames) captions.push_back("a " + name + " square");
  const Tokenizer tokenizer = Tokenizer::train(captions, 600);

  // Caption i belongs to picture i.
  std::vector<std::vector<int64_t>> ids;
  for (size_t i = 0; i < kBatch; ++i)
    ids.push_back(tokenizer.tokenize(captions[i % 4], 16, Overflow::error));
  const Captions words = pack(ids);

  Clip model(small_config(tokenizer));
  model.initialize(0);
  nn::AdamW optimizer(model, {});
  // Four pictures share each caption, so even a perfect model must guess among them: the floor is
  // ln 4.
  std::cout << "a model that knows nothing: " << std::log(kBatch)
            << ", a perfect one: " << std::log(4) << '\n';
  for (int64_t step = 0; step < kSteps; ++step) {
    const Tensor loss = model_loss(model, pictures(step), words);
    backward(loss);
    optimizer.step(nn::cosine_with_warmup(step, 1e-3, 5, kSteps), nn::grad_squares(model));
    model.zero_grad();
    if (step % 10 == 0) std::cout << "step " << step << ": loss " << loss.item() << '\n';
  }

  const Tensor head = zero_shot_head(model, tokenizer, kNames, {"a {} square"});
  const auto guesses =
      arg_max(zero_shot_logits(model, head, pictures(kSteps)), 1).to_vector<int64_t>();
  int64_t right = 0;
  for (size_t i = 0; i < guesses.size(); ++i) right += guesses[i] == static_cast<int64_t>(i % 4);
  std::cout << right << " of " << kBatch << " new pictures recognised\n";
}
