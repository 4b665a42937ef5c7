// tests/squares.h — a model and a dataset so small that training takes a second.
#pragma once

#include <string>
#include <vector>

#include "clip/train/train.h"
#include "clip/weights/run_folder.h"
#include "data/dataset.h"
#include "tensor/factory.h"
#include "tests/files.h"

namespace diptych::test {

inline ModelConfig tiny_config() {
  ModelConfig c;
  c.preprocess.size = 8;
  c.vit()->patch_size = 4;
  c.embed_dim = 16;
  c.text.context_length = 8;
  c.text.vocab_size = 520;
  for (nn::TowerConfig* t : {&c.vit()->transformer, &c.text.transformer}) {
    t->width = 16;
    t->layers = 1;
    t->heads = 2;
  }
  return c;
}

/// A model for which a white pixel is infinite, and a black one 0.
inline ModelConfig blinded(ModelConfig c) {
  c.preprocess.mean = {0, 0, 0};
  c.preprocess.std = {1e-39f, 1e-39f, 1e-39f};
  return c;
}

inline const std::vector<std::string> kWords = {"red", "green", "blue", "grey"};

/// Plain squares in four colours: learnable in seconds. Sample 5 is damaged if asked for.
class Squares : public Dataset {
 public:
  explicit Squares(int64_t size, bool damaged = false) : size_(size), damaged_(damaged) {}
  int64_t size() const override { return size_; }
  std::string name_of(int64_t index) const override { return "square " + std::to_string(index); }
  Example get(int64_t index, int64_t epoch) const override {
    check(!damaged_ || index != 5, "image: 'five.png': truncated");
    const int64_t label = index % 4;
    PhiloxStream random(mix(1, static_cast<uint64_t>(epoch)), static_cast<uint64_t>(index));
    std::vector<uint8_t> bytes(8 * 8 * 3);
    for (size_t i = 0; i < bytes.size(); ++i) {
      const bool bright = static_cast<int64_t>(i) % 3 == label || label == 3;
      bytes[i] = static_cast<uint8_t>((bright ? 180 : 40) + random.below(40));
    }
    return {from_vector(bytes, {8, 8, 3}), "a " + kWords[static_cast<size_t>(label)] + " one",
            label};
  }

 private:
  int64_t size_;
  bool damaged_;
};

inline Tokenizer squares_tokenizer() {
  return Tokenizer::train({"a red one", "a green one", "a blue one", "a grey one"}, 520);
}

inline TrainConfig squares_training() {
  TrainConfig c;
  c.batch_size = 8;
  c.epochs = 3;
  c.lr = 1e-3;
  c.workers = 0;
  c.seed = 11;
  return c;
}

// Trains and returns the bytes of the last checkpoint's parameters.
inline std::string train_squares(const TrainConfig& config, const std::string& folder,
                                 bool resume = false, const Squares& data = Squares(64),
                                 ModelConfig model_config = tiny_config()) {
  const Tokenizer tokenizer = squares_tokenizer();
  model_config.text.vocab_size = tokenizer.vocab_size();
  Clip model(model_config);
  model.initialize(config.seed);
  RunLog log(folder, resume, /*echo=*/false);
  Trainer trainer(model, tokenizer, data, config, log);
  if (resume) trainer.resume(newest_checkpoint(folder));
  trainer.run();
  const std::string checkpoint = newest_checkpoint(folder);
  return get_file(checkpoint + "/model.safetensors") +
         get_file(checkpoint + "/training.safetensors");
}

}  // namespace diptych::test
