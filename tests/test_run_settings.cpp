// tests/test_run_settings.cpp — params.json: what a run was begun with, and what may change.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "clip/train/run_settings.h"
#include "tests/squares.h"

using namespace diptych;
using namespace diptych::test;

namespace {

RunSettings some_settings() {
  RunSettings s;
  s.train_data = "a/t.tsv";
  s.pairs = 64;
  s.pictures = s.captions = s.vocabulary = std::string(64, 'a');
  s.train = resolved(squares_training(), s.pairs);
  s.model = tiny_config();
  return s;
}

// What refuses to go on when `change` was made since the run was begun; empty if nothing does.
std::string refusal(const std::function<void(RunSettings&)>& change) {
  const TempDir dir;
  RunSettings settings = some_settings();
  put_file(dir / "params.json", to_json(settings));
  const std::string before = fingerprint(settings);
  change(settings);
  const std::string error =
      error_of([&] { check_same_run(read_run_params(dir / "params.json"), settings); });
  CHECK(error.empty() == (fingerprint(settings) == before));
  return error;
}

}  // namespace

TEST_CASE("settings: whatever would change the result is refused by name") {
  const std::vector<std::pair<std::string, std::function<void(RunSettings&)>>> changes = {
      {"csv_img_key was", [](RunSettings& s) { s.columns.image_key = "x"; }},
      {"csv_caption_key was", [](RunSettings& s) { s.columns.caption_key = "x"; }},
      {"csv_separator was", [](RunSettings& s) { s.columns.separator = ','; }},
      {"pairs was 64, now it is 65", [](RunSettings& s) { s.pairs = 65; }},
      {"pictures changed", [](RunSettings& s) { s.pictures[3] = 'b'; }},
      {"captions changed", [](RunSettings& s) { s.captions[3] = 'b'; }},
      {"vocabulary changed", [](RunSettings& s) { s.vocabulary[3] = 'b'; }},
      {"max_image_pixels was", [](RunSettings& s) { s.limits.max_pixels = 1; }},
      {"batch_size was 8, now it is 9", [](RunSettings& s) { s.train.batch_size = 9; }},
      {"accum_freq was 1, now it is 2", [](RunSettings& s) { s.train.accum_freq = 2; }},
      {"epochs was", [](RunSettings& s) { s.train.epochs = 9; }},
      {"max_steps was 24", [](RunSettings& s) { s.train.max_steps = 9; }},
      {"lr was", [](RunSettings& s) { s.train.lr = 9; }},
      {"warmup was 2", [](RunSettings& s) { s.train.warmup = 9; }},
      {"beta1 was", [](RunSettings& s) { s.train.optimizer.beta1 = 0.5; }},
      {"beta2 was", [](RunSettings& s) { s.train.optimizer.beta2 = 0.5; }},
      {"eps was", [](RunSettings& s) { s.train.optimizer.eps = 0.5; }},
      {"wd was", [](RunSettings& s) { s.train.optimizer.weight_decay = 0.5; }},
      {"grad_clip_norm was null", [](RunSettings& s) { s.train.grad_clip_norm = 0.5; }},
      {"seed was 11", [](RunSettings& s) { s.train.seed = 9; }},
      {"model.text.heads was", [](RunSettings& s) { s.model.text.transformer.heads = 1; }},
      {"model.preprocess.training_crop was",
       [](RunSettings& s) { s.model.preprocess.training_crop = TrainingCrop::square; }},
  };
  for (const auto& [words, change] : changes) {
    CAPTURE(words);
    CHECK(contains(refusal(change), "resume: " + words));
  }
}

TEST_CASE("settings: what changes no bit may change, and so may the place of the data") {
  CHECK(refusal([](RunSettings&) {}) == "");
  CHECK(refusal([](RunSettings& s) {
          s.train_data = "elsewhere/t.tsv";
          s.vocabulary_file = "a.txt";
          s.report_to = "tensorboard";
          s.train.workers = 7;
          s.train.grad_checkpointing = true;
          s.train.log_every = 7;
          s.train.save_every = 7;
          s.train.keep = 7;
          s.train.max_bad_fraction = 0.7;
        }) == "");
}

TEST_CASE("settings: a run of before there were parts was in one, under the same fingerprint") {
  const TempDir dir;
  auto params = nlohmann::json::parse(to_json(some_settings()));
  for (const char* later : {"accum_freq", "positives", "loss_tile"}) params.erase(later);
  params["may_change"].erase("grad_checkpointing");
  put_file(dir / "params.json", params.dump());
  RunSettings settings = some_settings();
  check_same_run(read_run_params(dir / "params.json"), settings);
  // As of the version before.
  CHECK(fingerprint(settings) ==
        "9858c26b236b823cc4ce932b3c88b725947a3cfba1e8346aad8d2feaf5dde23b");
  settings.train.accum_freq = 2;
  CHECK(contains(error_of([&] { check_same_run(read_run_params(dir / "params.json"), settings); }),
                 "accum_freq was 1, now it is 2"));
}

TEST_CASE("settings: params.json has the values that count, none of them left to a default") {
  const auto params = nlohmann::json::parse(to_json(some_settings()));
  CHECK(params["max_steps"] == 24);
  CHECK(params["warmup"] == 2);
  CHECK(params["grad_clip_norm"].is_null());
  CHECK(params["may_change"]["diptych"] != "");
  CHECK(params["may_change"]["vocab"] == "learned from the captions");
  TrainConfig c = squares_training();
  c.max_steps = 1000;
  CHECK(resolved(c, 64).max_steps == 24);
  CHECK(resolved(resolved(c, 64), 64).warmup == 2);
  CHECK(contains(error_of([&] { resolved(c, 7); }), "do not fill one batch of 8"));
  c.epochs = 1'000'000'000'000'000;
  CHECK(contains(error_of([&] { resolved(c, 64); }), "lower --epochs"));
}

TEST_CASE("settings: a params.json that is absent, damaged or older says so") {
  const TempDir dir;
  const auto refused = [&] {
    return error_of([&] { check_same_run(read_run_params(dir / "params.json"), some_settings()); });
  };
  CHECK(contains(refused(), "there is no"));
  for (const char* text : {"", "[]", "{\"seed\": 0"}) {
    put_file(dir / "params.json", text);
    CHECK(contains(refused(), "is damaged"));
  }
  put_file(dir / "params.json", "{\"seed\": 0}");
  CHECK(contains(refused(), "older version"));
}
