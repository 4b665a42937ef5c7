// tests/test_grad_scaler.cpp — the loss scale of f16, and steps that it makes overflow.
#include <doctest/doctest.h>

#include <cmath>
#include <csignal>
#include <nlohmann/json.hpp>
#include <sstream>

#include "nn/grad_scaler.h"
#include "tests/precisions.h"
#include "tests/squares.h"

using namespace diptych;
using namespace diptych::test;
using nn::GradScaler;

namespace {

using Json = nlohmann::json;

std::vector<Json> metrics_of(const std::string& run) {
  std::istringstream in(get_file(run + "/metrics.jsonl"));
  std::vector<Json> records;
  for (std::string line; std::getline(in, line);) records.push_back(Json::parse(line));
  return records;
}

std::string last_line(const std::string& run) {
  const std::string log = get_file(run + "/out.log");
  return log.substr(log.rfind('\n', log.size() - 2) + 1);
}

/// A run in amp_fp16 that can be begun with any loss scale and temperature.
struct Scaled {
  explicit Scaled(const TrainConfig& c, const ModelConfig& base = tiny_config())
      : config(c), tokenizer(squares_tokenizer()), model(with_words(base)) {
    config.precision.precision = Precision::amp_fp16;
    config.log_every = 1;
    model.initialize(config.seed);
    log = std::make_unique<RunLog>(dir / "run", false, /*echo=*/false);
    trainer = std::make_unique<Trainer>(model, tokenizer, data, config, *log);
  }

  ModelConfig with_words(ModelConfig c) const {
    c.text.vocab_size = tokenizer.vocab_size();
    return c;
  }

  // Everything is as it begins, but for these two.
  void begin_with(double scale, double temperature) {
    nn::AdamW fresh(model, optimizer_config(config.optimizer, config.precision, config.seed));
    model.logit_scale().detach().fill_(temperature);
    TrainingState state = trainer->state();
    state.scaler = GradScaler{scale};
    save_checkpoint(dir / "from", model, tokenizer, fresh, state, 1);
    trainer->resume(newest_checkpoint(dir / "from"));
  }

  std::string run() {
    return error_of([&] { trainer->run(); });
  }
  Checkpoint saved() const { return read_checkpoint(newest_checkpoint(dir / "run")); }

  TrainConfig config;
  TempDir dir;
  Tokenizer tokenizer;
  Squares data{64};
  Clip model;
  std::unique_ptr<RunLog> log;
  std::unique_ptr<Trainer> trainer;
};

}  // namespace

TEST_CASE("loss scale: it begins at 2^16, doubles in 1000 steps and is halved by one") {
  GradScaler s;
  CHECK(s.scale == 65536);
  for (int step = 0; step < 1000; ++step) s.update(true);
  CHECK(s.scale == doctest::Approx(131072).epsilon(1e-12));  // 1000 roundings of 2^-53
  s.scale = 65536;
  s.update(false);
  CHECK(s.scale == 32768);
  s.scale = 0x1p24;
  s.update(true);
  CHECK(s.scale == 0x1p24);
  s.scale = 1;
  CHECK_FALSE(s.exhausted());
  s.update(false);
  CHECK(s.exhausted());
}

TEST_CASE("loss scale: AdamW's step does not depend on it, clipped or not") {
  for (const double max_norm : {0.0, 0.01}) {
    std::vector<Tensor> ends;
    for (const double scale : {1.0, 1024.0}) {
      Clip model(tiny_config());
      model.initialize(1);
      nn::AdamW optimizer(model, {.eps = 1e-3});
      const RandomPairs pairs = random_pairs(model.config(), 8, 1);
      accumulate_gradients(model, pairs.pixels, pairs.captions, {scale});
      optimizer.step(1e-2, nn::grad_squares(model), max_norm, scale);
      ends.push_back(model.parameters()[1].clone());
    }
    // A power of two: exact, but for the 1e-6 that the clipped norm is kept away from 0 by.
    const auto a = ends[0].to_vector<double>(), b = ends[1].to_vector<double>();
    for (size_t i = 0; i < a.size(); ++i) CHECK(a[i] == b[i]);
  }
}

TEST_CASE("loss scale: steps that overflow are skipped and counted, and the run goes on") {
  Scaled run(squares_training());
  run.begin_with(0x1p24, std::log(100));
  CHECK(run.run() == "");
  const TrainingState& state = run.trainer->state();
  CHECK(state.step == 24);
  CHECK(state.skipped > 2);
  CHECK(state.skipped < 20);
  const Checkpoint saved = run.saved();
  CHECK(saved.optimizer_steps == 24 - state.skipped);
  CHECK(saved.state.skipped == state.skipped);
  const double good = std::pow(GradScaler::kGrowth, 24.0 - static_cast<double>(state.skipped));
  const double scale = 0x1p24 * std::pow(0.5, static_cast<double>(state.skipped)) * good;
  CHECK(saved.state.scaler->scale == doctest::Approx(scale).epsilon(1e-9));
  const std::vector<Json> records = metrics_of(run.dir / "run");
  CHECK(records.size() == static_cast<size_t>(24 - state.skipped));
  CHECK(records.back()["skipped"] == state.skipped);
  CHECK(records.back()["loss_scale"].get<double>() * GradScaler::kGrowth ==
        doctest::Approx(scale).epsilon(1e-9));
  CHECK(contains(last_line(run.dir / "run"),
                 ", " + std::to_string(state.skipped) + " steps skipped; checkpoint"));
  CHECK(contains(get_file(run.dir / "run/out.log"), "step 1: loss "));
}

TEST_CASE("loss scale: a step that overflows leaves parameters, moments and t as they were") {
  TrainConfig config = squares_training();
  config.precision.text_weights = DType::bf16;
  config.precision.adam_stats = DType::f16;
  config.max_steps = 2;
  config.optimizer.weight_decay = 0.2;
  Scaled run(config);
  run.begin_with(0x1p24, std::log(100));
  const Checkpoint before = read_checkpoint(newest_checkpoint(run.dir / "from"));
  CHECK(run.run() == "");
  REQUIRE(run.trainer->state().skipped == 2);
  const Checkpoint after = run.saved();
  CHECK(after.optimizer_steps == 0);
  for (size_t i = 0; i < before.model.tensors.size(); ++i)
    CHECK(same_bits(after.model.tensors[i].tensor, before.model.tensors[i].tensor));
  for (size_t i = 0; i < before.training.tensors.size(); ++i)
    CHECK(same_bits(after.training.tensors[i].tensor, before.training.tensors[i].tensor));
  for (const auto& e : run.model.named_parameters())
    if (e.copy->tensor.defined() && e.copy->version == e.tensor.version())
      CHECK(same_bits(e.copy->tensor, e.tensor.to(e.copy->tensor.dtype())));
}

TEST_CASE("loss scale: below 1 the run ends and says why") {
  ModelConfig far = tiny_config();  // pixels become 10⁶, infinite in f16
  far.preprocess.std = {1e-6f, 1e-6f, 1e-6f};
  Scaled run(squares_training(), far);
  const std::string error = run.run();
  CHECK(contains(error, "train: step 17: loss nan"));  // 2^16 · 2^-17 < 1
  CHECK(contains(error,
                 "the first operator with a result that is not finite: cast (8, 3, 8, 8) f16"));
  CHECK(contains(get_file(run.dir / "run/out.log"),
                 "the loss scale fell to 0.5, where no overflow is its fault"));
  CHECK(run.saved().optimizer_steps == 0);
  CHECK(run.trainer->state().skipped == 16);
}

TEST_CASE("loss scale: a step forgotten is as if it had never been asked for") {
  const auto end = [](bool interrupted, const PrecisionConfig& c) {
    Clip model(tiny_config());
    model.initialize(1);
    model.use(c);
    nn::AdamW optimizer(model, optimizer_config({}, c, 3));
    for (uint64_t step = 0; step < 3; ++step) {
      const RandomPairs pairs = random_pairs(model.config(), 8, step);
      accumulate_gradients(model, pairs.pixels, pairs.captions);
      if (interrupted && step == 1) {
        optimizer.step(1e-3, full({}, HUGE_VAL, DType::f64));
        optimizer.forget_step();
      }
      optimizer.step(1e-3, nn::grad_squares(model));
      model.zero_grad();
    }
    CHECK(optimizer.steps() == 3);
    std::string bytes;
    for (const NamedTensor& t : model.state_dict()) bytes += bytes_of(t.tensor);
    for (const NamedTensor& t : optimizer.state()) bytes += bytes_of(t.tensor);
    return bytes;
  };
  for (const PrecisionConfig& c : all_precisions()) {
    CAPTURE(label(c));
    CHECK(end(true, c) == end(false, c));
  }
}
