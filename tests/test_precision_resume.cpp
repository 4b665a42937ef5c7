// tests/test_precision_resume.cpp — runs in mixed precision that go on: with the same bits, for any
// number of threads, in another precision if asked to, and never from damaged numbers.
#include <doctest/doctest.h>

#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "clip/train/run_settings.h"
#include "tensor/parallel.h"
#include "tests/precisions.h"
#include "tests/squares.h"

using namespace diptych;
using namespace diptych::test;

namespace {

// Squares that ask to stop before a step.
struct Stopping : Squares {
  explicit Stopping(int64_t step = 0) : Squares(64), left(8 * step) {}
  Example get(int64_t index, int64_t epoch) const override {
    if (--left == 0) std::raise(SIGTERM);
    return Squares::get(index, epoch);
  }
  mutable int64_t left;
};

TrainConfig twelve_steps(const PrecisionConfig& c) {
  TrainConfig config = squares_training();
  config.epochs = 2;
  config.max_steps = 12;
  config.precision = c;
  return config;
}

// The position of a checkpoint, as JSON, changed by `change`.
void edit_position(const std::string& checkpoint,
                   const std::function<void(nlohmann::json&)>& change) {
  const std::string path = checkpoint + '/' + kTrainingFile;
  SafeTensors file = load_safetensors(path);
  auto position = nlohmann::json::parse(file.metadata["position"]);
  change(position);
  file.metadata["position"] = position.dump();
  save_safetensors(path, file.tensors, file.metadata);
  write_manifest(checkpoint);
}

// Trained for two epochs of one step each.
std::string short_run(const TempDir& dir, const PrecisionConfig& c) {
  TrainConfig config = twelve_steps(c);
  config.max_steps = 2;
  train_squares(config, dir / "run");
  return newest_checkpoint(dir / "run");
}

// What a trainer in that precision says of a checkpoint; the model is as it was left.
std::string resumed_in(const PrecisionConfig& c, const std::string& checkpoint, Clip& model,
                       TrainingState* state = nullptr) {
  const TempDir dir;
  const Tokenizer tokenizer = squares_tokenizer();
  const Squares data(64);
  model.initialize(4);
  RunLog log(dir / "run", false, /*echo=*/false);
  Trainer trainer(model, tokenizer, data, twelve_steps(c), log);
  const std::string error = error_of([&] { trainer.resume(checkpoint); });
  if (state) *state = trainer.state();
  return error;
}

Clip model_of(const std::string& checkpoint) {
  return Clip(model_config_from_json(
      load_safetensors(checkpoint + '/' + kModelFile).metadata.at("config")));
}

}  // namespace

TEST_CASE("precision: stopped at any step and resumed, a run ends with the same bits") {
  PhiloxStream random(8, 1);
  for (const PrecisionConfig& c : all_precisions()) {
    for (const bool nearest : {false, true}) {
      if (nearest && size_of(text_dtype(c)) == 4) continue;
      const TempDir dir;
      TrainConfig config = twelve_steps(c);
      config.precision.round_to_nearest = nearest;
      const int64_t stop = 1 + random.below(11);
      CAPTURE(label(c));
      CAPTURE(stop);
      const std::string whole = train_squares(config, dir / "whole");
      train_squares(config, dir / "cut", false, Stopping(stop));
      REQUIRE(contains(newest_checkpoint(dir / "cut"), checkpoint_path("", stop)));
      CHECK(train_squares(config, dir / "cut", true) == whole);
    }
  }
}

TEST_CASE("precision: the same bits for any number of threads") {
  const int threads_before = num_threads();
  for (const PrecisionConfig& c : {PrecisionConfig{Precision::amp_bf16, DType::f16, DType::bf16},
                                   PrecisionConfig{Precision::amp_fp16, DType::f16, DType::f16},
                                   PrecisionConfig{Precision::pure_bf16, DType::f16}}) {
    const TempDir dir;
    std::vector<std::string> results;
    for (const int threads : {1, 2, 3}) {
      set_num_threads(threads);
      results.push_back(train_squares(twelve_steps(c), dir / std::to_string(threads)));
    }
    for (const std::string& bytes : results) CHECK(bytes == results[0]);
  }
  set_num_threads(threads_before);
}

TEST_CASE("precision: what decides how parameters are rounded changes their bits") {
  const TempDir dir;
  PrecisionConfig c{Precision::fp32, DType::f32, DType::bf16};
  const std::string by_chance = train_squares(twelve_steps(c), dir / "chance");
  c.round_to_nearest = true;
  CHECK(train_squares(twelve_steps(c), dir / "nearest") != by_chance);
}

TEST_CASE("precision: a checkpoint is converted to every other precision, to nearest") {
  for (const PrecisionConfig& from : all_precisions()) {
    const TempDir dir;
    const std::string checkpoint = short_run(dir, from);
    const SafeTensors stored = load_safetensors(checkpoint + '/' + kModelFile);
    for (const PrecisionConfig& to : all_precisions()) {
      const std::string both = label(from) + " -> " + label(to);
      CAPTURE(both);
      Clip model = model_of(checkpoint);
      TrainingState state;
      CHECK(resumed_in(to, checkpoint, model, &state) == "");
      CHECK(state.precision == name(to.precision));
      CHECK(state.scaler.has_value() == (to.precision == Precision::amp_fp16));
      for (const auto& e : model.state())
        CHECK(same_bits(e.tensor, stored.find(e.name)->to(e.tensor.dtype())));
    }
  }
}

TEST_CASE("precision: a checkpoint tells in which it is") {
  for (PrecisionConfig c : all_precisions()) {
    CAPTURE(label(c));
    c.round_to_nearest = c.adam_stats == DType::f16;
    const TempDir runs;
    const PrecisionConfig told = read_checkpoint(short_run(runs, c)).precision();
    CHECK(told.precision == c.precision);
    CHECK(told.adam_stats == c.adam_stats);
    CHECK(text_dtype(told) == text_dtype(c));
    CHECK(told.round_to_nearest == c.round_to_nearest);
  }
}

TEST_CASE("precision: a checkpoint that was converted tells the new one") {
  const TempDir dir;
  train_squares(twelve_steps({}), dir / "run", false, Stopping(4));
  REQUIRE(read_checkpoint(newest_checkpoint(dir / "run")).precision() == PrecisionConfig{});
  const PrecisionConfig to{Precision::amp_fp16, DType::f16, DType::bf16, true};
  train_squares(twelve_steps(to), dir / "run", true);
  CHECK(read_checkpoint(newest_checkpoint(dir / "run")).precision() == to);
}

TEST_CASE("precision: the loss scale goes on where it was, or begins") {
  const TempDir dir;
  const std::string checkpoint = short_run(dir, {Precision::amp_fp16});
  edit_position(checkpoint, [](nlohmann::json& p) { p["loss_scale"] = 4096.5; });
  Clip model = model_of(checkpoint);
  TrainingState state;
  CHECK(resumed_in({Precision::amp_fp16}, checkpoint, model, &state) == "");
  CHECK(state.scaler->scale == 4096.5);
  edit_position(checkpoint, [](nlohmann::json& p) { p["precision"] = "fp32"; });
  CHECK(resumed_in({Precision::amp_fp16}, checkpoint, model, &state) == "");
  CHECK(state.scaler->scale == 65536);
}

TEST_CASE("precision: damaged numbers in a checkpoint are refused by name") {
  const TempDir dir;
  const std::string checkpoint = short_run(dir, {Precision::amp_fp16});
  const auto refused = [&](const char* key, const nlohmann::json& value, const char* words) {
    const std::string before = get_file(checkpoint + '/' + kTrainingFile);
    edit_position(checkpoint, [&](nlohmann::json& p) {
      value.is_null() ? static_cast<void>(p.erase(key)) : static_cast<void>(p[key] = value);
    });
    const std::string error = error_of([&] { read_checkpoint(checkpoint); });
    CAPTURE(key);
    CAPTURE(value.dump());
    CAPTURE(error);
    CHECK(contains(error, "resume: '" + checkpoint + "/training.safetensors'"));
    CHECK(contains(error, words));
    put_file(checkpoint + '/' + kTrainingFile, before);
    write_manifest(checkpoint);
  };
  for (const nlohmann::json& scale :
       {nlohmann::json(), nlohmann::json("65536"), nlohmann::json(-1), nlohmann::json(0),
        nlohmann::json(0.5), nlohmann::json(1e300), nlohmann::json(16777217), nlohmann::json(true),
        nlohmann::json::array({65536})})
    refused("loss_scale", scale, "loss_scale");
  for (const nlohmann::json& precision :
       {nlohmann::json("fp8"), nlohmann::json("AMP_FP16"), nlohmann::json(""), nlohmann::json(16)})
    refused("precision", precision, "precision");
  for (const nlohmann::json& rounding : {nlohmann::json("up"), nlohmann::json(true)})
    refused("rounding", rounding, "rounding");
  for (const nlohmann::json& skipped :
       {nlohmann::json(-1), nlohmann::json(0.5), nlohmann::json("1")})
    refused("skipped", skipped, "skipped");
  CHECK_NOTHROW(read_checkpoint(checkpoint));
}

TEST_CASE("precision: a run of before there were precisions is of fp32") {
  const TempDir dir;
  const std::string checkpoint = short_run(dir, {});
  edit_position(checkpoint, [](nlohmann::json& p) {
    for (const char* key : {"precision", "skipped", "rounding"}) p.erase(key);
  });
  Clip model = model_of(checkpoint);
  TrainingState state;
  CHECK(read_checkpoint(checkpoint).precision() == PrecisionConfig{});
  CHECK(resumed_in({}, checkpoint, model, &state) == "");
  CHECK(state.precision == "fp32");
  CHECK(state.skipped == 0);
}

TEST_CASE("precision: scales of moments that do not fit, or are missing, are refused") {
  const TempDir dir;
  const std::string checkpoint = short_run(dir, {Precision::fp32, DType::f16});
  const Checkpoint good = read_checkpoint(checkpoint);
  const auto refused = [&](const std::string& key, const Tensor& scale) {
    Clip model = model_of(checkpoint);
    model.initialize(1);
    std::string all;
    for (const bool half : {true, false}) {
      nn::AdamW optimizer(model, {.half_moments = half});
      Checkpoint bad = good;
      std::erase_if(bad.training.tensors, [&](const NamedTensor& t) { return t.name == key; });
      if (scale.defined()) bad.training.tensors.push_back({key, scale});
      const std::string error = error_of([&] { restore(bad, model, optimizer); });
      CAPTURE(error);
      CHECK(contains(error, "resume: '" + checkpoint));
      all += error;
    }
    return all;
  };
  const std::string key = "m_scale.visual.proj";
  CHECK(contains(refused(key, {}), "visual.proj"));
  for (const int64_t R : {0, 3, 7, 17, 4096}) refused(key, full({R}, 1e-8));
  refused(key, full({1, 1}, 1e-8));
  for (const double value : {-1e-8, std::nan(""), HUGE_VAL}) refused(key, full({1}, value));
}

TEST_CASE("precision: weights beyond f16 end a resumed run before it begins") {
  const TempDir dir;
  const std::string checkpoint = short_run(dir, {});
  SafeTensors file = load_safetensors(checkpoint + '/' + kModelFile);
  for (const char* parameter : {"visual.proj", "text_projection"}) {
    const Tensor weights = *file.find(parameter), before = weights.clone();
    weights.view({-1}).slice(0, 0, 1).fill_(70000);
    save_safetensors(checkpoint + '/' + kModelFile, file.tensors, file.metadata);
    write_manifest(checkpoint);
    for (const PrecisionConfig& c : all_precisions()) {
      CAPTURE(label(c));
      Clip model = model_of(checkpoint);
      const std::string error = resumed_in(c, checkpoint, model);
      const bool f16 = c.precision == Precision::amp_fp16 ||
                       (text_dtype(c) == DType::f16 && parameter == std::string("text_projection"));
      CHECK(error.empty() == !f16);
      if (f16) CHECK(contains(error, std::string(parameter) + " holds 70000, f16 ends at 65504"));
    }
    Tensor(weights).copy_(before);
  }
}

TEST_CASE("precision: params.json tells it, and damage there is refused by name") {
  const TempDir dir;
  const std::string path = dir / "params.json";
  RunSettings settings;
  settings.model = tiny_config();
  settings.train = resolved(squares_training(), 64);
  for (PrecisionConfig c : all_precisions()) {
    c.round_to_nearest = c.adam_stats == DType::f16;
    settings.train.precision = c;
    put_file(path, to_json(settings));
    CHECK(read_run_params(path).precision == c);
  }
  const auto refused = [&](const char* key, const nlohmann::json& value) {
    auto params = nlohmann::json::parse(to_json(settings));
    params["may_change"][key] = value;
    put_file(path, params.dump());
    const std::string error = error_of([&] { read_run_params(path); });
    CAPTURE(error);
    CHECK(contains(error, "resume: '" + path + "'"));
    CHECK(contains(error, key));
  };
  for (const char* key : {"precision", "adam_stats", "text_weights", "rounding"})
    for (const nlohmann::json& value :
         {nlohmann::json(16), nlohmann::json(), nlohmann::json("f8"), nlohmann::json("")})
      refused(key, value);
  for (const char* type : {"bf16", "f64"}) refused("adam_stats", type);
  settings.train.precision = {Precision::pure_bf16};
  refused("text_weights", "f16");
}
