// tests/test_resume.cpp — a run that goes on: its counters and records, and what is never saved.
#include <doctest/doctest.h>

#include <csignal>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "clip/weights/model_file.h"
#include "tests/squares.h"

using namespace diptych;
using namespace diptych::test;

namespace {

namespace fs = std::filesystem;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Squares of which one is damaged, some have long captions, and that ask to stop before a step.
struct Troubled : Squares {
  explicit Troubled(int64_t stop = 0) : Squares(64, /*damaged=*/true), left(8 * stop) {}
  Example get(int64_t index, int64_t epoch) const override {
    if (--left == 0) std::raise(SIGTERM);
    Example e = Squares::get(index, epoch);
    if (index % 9 == 0) e.caption += " that is far too long for eight tokens";
    return e;
  }
  mutable int64_t left;
};

TrainConfig troubled_training() {
  TrainConfig c = squares_training();
  c.max_bad_fraction = 0.02;  // one of 64
  c.log_every = 1;
  return c;
}

// The lines of metrics.jsonl without what depends on the clock.
std::string metrics_of(const std::string& run) {
  std::istringstream in(get_file(run + "/metrics.jsonl"));
  std::string text;
  for (std::string line; std::getline(in, line);) {
    auto record = nlohmann::ordered_json::parse(line);
    for (const char* key : {"pairs_per_second", "data_wait", "eta_seconds", "time"})
      record.erase(key);
    text += record.dump() + '\n';
  }
  return text;
}

void append(const std::string& path, const std::string& text) {
  put_file(path, get_file(path) + text);
}

}  // namespace

TEST_CASE("resume: counters, metrics and bad samples are those of a run that was never stopped") {
  const TempDir dir;
  const std::string whole = train_squares(troubled_training(), dir / "whole", false, Troubled());
  const std::string metrics = metrics_of(dir / "whole"),
                    bad = get_file(dir / "whole/bad_samples.tsv");
  CHECK(contains(metrics, "\"bad_samples\":1,\"truncated\":2"));
  for (const int64_t stop : {3, 8, 20}) {
    CAPTURE(stop);
    const std::string run = dir / std::to_string(stop);
    train_squares(troubled_training(), run, false, Troubled(stop));
    CHECK(train_squares(troubled_training(), run, true, Troubled()) == whole);
    CHECK(metrics_of(run) == metrics);
    CHECK(get_file(run + "/bad_samples.tsv") == bad);
  }
}

TEST_CASE("resume: what was recorded after the checkpoint, or half, is recorded once") {
  const TempDir dir;
  const std::string whole = train_squares(troubled_training(), dir / "whole", false, Troubled());
  const std::string run = dir / "cut", metrics = run + "/metrics.jsonl";
  train_squares(troubled_training(), run, false, Troubled(9));
  // A process that died at step 11, after a disk that was full for a moment.
  append(
      metrics,
      "{\"step\":8,\"loss\":0}\n{\"step\": 10, \"lo\n{\"step\":10,\"loss\":0}\n{\"step\":11,\"lo");
  append(run + "/bad_samples.tsv", "6\tsquare 6\tlater\n7\tsq");
  append(run + "/out.log", "step 11/2");
  CHECK(train_squares(troubled_training(), run, true, Troubled()) == whole);
  CHECK(metrics_of(run) == metrics_of(dir / "whole"));
  CHECK(get_file(run + "/bad_samples.tsv") == get_file(dir / "whole/bad_samples.tsv"));
  CHECK(contains(get_file(run + "/out.log"), "step 11/2\nweight decay"));
}

TEST_CASE("resume: from an older checkpoint, records go back to it") {
  const TempDir dir;
  TrainConfig config = troubled_training();
  config.keep = 3;
  const std::string whole = train_squares(config, dir / "run", false, Troubled());
  const std::string metrics = metrics_of(dir / "run");
  fs::remove_all(checkpoint_path(dir / "run", 16));
  fs::remove_all(checkpoint_path(dir / "run", 24));
  CHECK(train_squares(config, dir / "run", true, Troubled()) == whole);
  CHECK(metrics_of(dir / "run") == metrics);
}

TEST_CASE("resume: a folder in which nothing was saved may begin again, and nothing is mixed in") {
  const TempDir dir;
  const std::string whole = train_squares(troubled_training(), dir / "whole", false, Troubled());
  const std::string run = dir / "run";
  fs::create_directories(run + "/checkpoints/step_00000008.tmp");
  put_file(run + "/lock", "");
  put_file(run + "/metrics.jsonl", "{\"step\":1,\"loss\":9}\n{\"st");
  put_file(run + "/bad_samples.tsv", "9\tsquare 9\tof the dead attempt\n");
  put_file(run + "/out.log", "step 1/24 | ep");
  CHECK(train_squares(troubled_training(), run, false, Troubled()) == whole);
  CHECK(metrics_of(run) == metrics_of(dir / "whole"));
  CHECK(get_file(run + "/bad_samples.tsv") == get_file(dir / "whole/bad_samples.tsv"));
  CHECK(get_file(run + "/out.log").starts_with("step 1/24 | ep\nweight decay"));
}

TEST_CASE("resume: records that lead elsewhere are followed, devices left alone") {
  const TempDir dir;
  const std::string run = dir / "run";
  train_squares(troubled_training(), run, false, Troubled(9));
  fs::rename(run + "/metrics.jsonl", dir / "elsewhere");
  fs::create_symlink(dir / "elsewhere", run + "/metrics.jsonl");
  fs::remove(run + "/bad_samples.tsv");
  fs::create_symlink("/dev/full", run + "/bad_samples.tsv");
  train_squares(troubled_training(), run, true, Troubled());
  CHECK(fs::is_symlink(run + "/metrics.jsonl"));
  CHECK(contains(get_file(dir / "elsewhere"), "{\"step\":24,"));
  CHECK(fs::read_symlink(run + "/bad_samples.tsv") == "/dev/full");
}

TEST_CASE("resume: damage, another configuration, other settings and missing parts are refused") {
  const TempDir dir;
  const std::string run = dir / "run";
  train_squares(squares_training(), run);
  const std::string newest = newest_checkpoint(run);
  Checkpoint good = read_checkpoint(newest);
  ModelConfig config = tiny_config();
  config.text.vocab_size = good.tokenizer().vocab_size();
  config.text.transformer.heads = 4;  // of the same shapes
  Clip other(config);
  other.initialize(1);
  nn::AdamW optimizer(other, {});
  CHECK(contains(error_of([&] { restore(good, other, optimizer); }), "of another model"));
  const LoadedModel loaded = load_model(newest);
  nn::AdamW moments(*loaded.model, {});
  CHECK_NOTHROW(restore(good, *loaded.model, moments));
  good.training.tensors[0].tensor.fill_(kNaN);
  CHECK(contains(error_of([&] { restore(good, *loaded.model, moments); }), "not finite"));

  std::string bytes = get_file(newest + '/' + kTrainingFile);
  bytes[bytes.size() / 2] ^= 1;
  put_file(newest + '/' + kTrainingFile, bytes);
  CHECK(contains(error_of([&] { read_checkpoint(newest); }), kTrainingFile));
  CHECK(contains(error_of([&] { load_model(newest); }), kTrainingFile));
  CHECK(contains(error_of([&] { load_model(newest + '/' + kModelFile); }), kTrainingFile));
  save_safetensors(newest + '/' + kTrainingFile, good.training.tensors, {{"settings", ""}});
  write_manifest(newest);
  CHECK(contains(error_of([&] { read_checkpoint(newest); }), "has no position"));
  save_safetensors(newest + '/' + kTrainingFile, good.training.tensors,
                   {{"position", R"({"step": -1})"}, {"settings", ""}});
  write_manifest(newest);
  CHECK(contains(error_of([&] { read_checkpoint(newest); }), "step is missing or no count"));
}

TEST_CASE("checkpoint: a value that is not finite is named and never written") {
  const TempDir dir;
  const std::string run = dir / "run";
  train_squares(squares_training(), run);
  const std::vector<std::string> before = checkpoints(run);
  const LoadedModel loaded = load_model(run);
  nn::AdamW optimizer(*loaded.model, {});
  const auto save = [&] {
    return error_of([&] {
      save_checkpoint(run, *loaded.model, loaded.words(), optimizer, {99, 0, 0, 0}, 1);
    });
  };
  for (const double value : {kNaN, -std::numeric_limits<double>::infinity()}) {
    for (const bool moment : {false, true}) {
      Tensor one = moment ? optimizer.state().back().tensor : loaded.model->state().back().tensor;
      const Tensor kept = one.clone();
      one.view({one.numel()}).slice(0, one.numel() - 1, one.numel()).fill_(value);
      const std::string name =
          moment ? optimizer.state().back().name : loaded.model->state().back().name;
      CHECK(contains(save(), name + " holds values that are not finite"));
      CHECK(checkpoints(run) == before);
      one.copy_(kept);
    }
  }
  CHECK(save().empty());
}

TEST_CASE("checkpoint: running statistics are tested like parameters, counts are not") {
  ModelConfig config = preset("tiny-resnet");
  Clip model(config);
  model.initialize(1);
  const nn::AdamW optimizer(model, {});
  CHECK(first_not_finite(model, optimizer).empty());
  for (auto& entry : model.state()) {
    if (!entry.name.ends_with("running_var")) continue;
    entry.tensor.fill_(kNaN);
    CHECK(first_not_finite(model, optimizer) == entry.name);
    return;
  }
  FAIL("no statistics");
}

TEST_CASE("checkpoint: a last step that spoils the parameters ends the run with an error") {
  const TempDir dir;
  TrainConfig config = squares_training();
  config.lr = 1e300;
  config.warmup = 0;
  config.batch_size = 64;  // an epoch is a step
  const std::string error = error_of([&] { train_squares(config, dir / "run"); });
  CHECK(contains(error, "step 1 of '"));
  CHECK(contains(error, "not finite"));
  CHECK(checkpoints(dir / "run").empty());
  config.lr = 1e-3;
  CHECK(!train_squares(config, dir / "run").empty());  // and may begin again
}
