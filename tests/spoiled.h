// tests/spoiled.h — runs that are spoiled on the way, and what they were asked for.
#pragma once

#include <functional>
#include <map>
#include <sstream>

#include "tests/squares.h"

namespace diptych::test {

constexpr int64_t kPairs = 8;  // pairs a step; an epoch has 8 steps

/// Squares that do something before the first sample of a batch, and know what they were asked for.
struct Watched : Squares {
  Watched() : Squares(64) {}
  Example get(int64_t index, int64_t epoch) const override {
    if (asked % kPairs == 0 && before) before(asked / kPairs + 1);
    ++asked;
    ++times[{epoch, index}];
    batches[(asked - 1) / kPairs + 1].push_back("square " + std::to_string(index));
    Example e = Squares::get(index, epoch);
    e.pixels.fill_(white ? 255 : 0);
    return black_and_white ? e : Squares::get(index, epoch);
  }

  std::function<void(int64_t batch)> before;  // counted from 1
  mutable int64_t asked = 0;
  mutable std::map<std::pair<int64_t, int64_t>, int> times;
  mutable std::map<int64_t, std::vector<std::string>> batches;
  bool black_and_white = false, white = false;
};

/// A run that is spoiled on the way.
struct Spoiled {
  Spoiled(OnNan policy, int64_t epochs, const PrecisionConfig& precision = {},
          ModelConfig base = tiny_config())
      : tokenizer(squares_tokenizer()), model(with_words(std::move(base))) {
    config = squares_training();
    config.on_nan = policy;
    config.epochs = epochs;
    config.log_every = 1;
    config.precision = precision;
    model.initialize(config.seed);
  }

  ModelConfig with_words(ModelConfig c) const {
    c.text.vocab_size = tokenizer.vocab_size();
    return c;
  }

  std::string run() {
    log = std::make_unique<RunLog>(dir / "run", false, /*echo=*/false);
    trainer = std::make_unique<Trainer>(model, tokenizer, data, config, *log);
    return error_of([&] { trainer->run(); });
  }

  Tensor parameter(const std::string& name) const {
    for (const auto& e : model.state())
      if (e.name == name) return e.tensor;
    fail("test: no parameter ", name);
  }

  std::string bytes() const {
    std::string all;
    for (const NamedTensor& t : model.state_dict()) all += bytes_of(t.tensor);
    return all;
  }

  std::string told() const { return get_file(dir / "run/out.log"); }
  std::string newest() const { return newest_checkpoint(dir / "run"); }
  const TrainingState& state() const { return trainer->state(); }

  // The steps in metrics.jsonl, whose lines begin with them.
  std::vector<int64_t> steps() const {
    std::istringstream in(get_file(dir / "run/metrics.jsonl"));
    std::vector<int64_t> all;
    for (std::string line; std::getline(in, line);)
      all.push_back(std::stoll(line.substr(line.find(':') + 1)));
    return all;
  }

  TrainConfig config;
  TempDir dir;
  Tokenizer tokenizer;
  Watched data;
  Clip model;
  std::unique_ptr<RunLog> log;
  std::unique_ptr<Trainer> trainer;
};

}  // namespace diptych::test
