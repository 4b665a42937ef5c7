// tests/test_train.cpp — training: it learns, repeats itself bit by bit, survives and reports.
#include <doctest/doctest.h>

#include <csignal>
#include <filesystem>
#include <sstream>

#include "clip/eval/accuracy.h"
#include "clip/eval/zero_shot.h"
#include "clip/weights/model_file.h"
#include "clip/weights/run_folder.h"
#include "tensor/parallel.h"
#include "tests/squares.h"

using namespace diptych;
using namespace diptych::test;

namespace {

// How many steps metrics.jsonl has; -1 unless they are 1, 2, ….
int64_t logged_steps(const std::string& run) {
  std::istringstream in(get_file(run + "/metrics.jsonl"));
  int64_t step = 0;
  for (std::string line; std::getline(in, line);)
    if (!contains(line, "{\"step\":" + std::to_string(++step) + ',')) return -1;
  return step;
}

}  // namespace

TEST_CASE("training: squares are learned, and then recognised by captions") {
  const TempDir dir;
  TrainConfig config = squares_training();
  config.epochs = 12;
  train_squares(config, dir / "run");
  const LoadedModel loaded = load_model(dir / "run");
  const Tensor head = zero_shot_head(*loaded.model, loaded.words(), kWords, {"a {} one"});
  const Squares data(64);
  LoaderOptions options;
  options.shuffle = false;
  options.workers = 0;
  options.context_length = 8;
  Loader loader(data, loaded.words(), options);
  const Accuracy result =
      accuracy(classify_dataset(*loaded.model, head, loader), [](int64_t) { return true; });
  CHECK(result.pictures == 64);
  CHECK(result.acc1 > 0.95);
  CHECK(contains(get_file(dir / "run/metrics.jsonl"), "\"grad_norm\""));
}

TEST_CASE("training: the same bits for any number of threads and workers") {
  const TempDir dir;
  std::vector<std::string> results;
  const int threads_before = num_threads();
  for (const int threads : {1, 2, 3}) {
    for (const int workers : {0, 1, 4}) {
      set_num_threads(threads);
      TrainConfig config = squares_training();
      config.workers = workers;
      results.push_back(
          train_squares(config, dir / (std::to_string(threads) + "-" + std::to_string(workers))));
    }
  }
  set_num_threads(threads_before);
  for (const std::string& bytes : results) CHECK(bytes == results[0]);
}

TEST_CASE("training: stopped at any step and resumed, it ends with the same bits") {
  const TempDir dir;
  const std::string whole = train_squares(squares_training(), dir / "whole");
  for (const int64_t stop :
       {1, 7, 8, 13}) {  // in the first epoch, its last step, on the border, in the second
    CAPTURE(stop);
    const std::string folder = dir / ("cut" + std::to_string(stop));
    struct StopAt : Squares {
      StopAt(int64_t samples, int64_t after) : Squares(samples), left(after) {}
      Example get(int64_t index, int64_t epoch) const override {
        if (--left == 0) std::raise(SIGTERM);
        return Squares::get(index, epoch);
      }
      mutable int64_t left;
    };
    TrainConfig config = squares_training();
    config.log_every = 1;
    train_squares(config, folder, false, StopAt(64, 8 * stop));
    CHECK(logged_steps(folder) == stop);
    CHECK(train_squares(config, folder, true) == whole);
    CHECK(logged_steps(folder) == 24);
  }
}

TEST_CASE("training: a damaged sample is named and left out; too many stop the run") {
  const TempDir dir;
  TrainConfig config = squares_training();
  config.max_bad_fraction = 0.02;  // one of 64
  train_squares(config, dir / "run", false, Squares(64, true));
  CHECK(get_file(dir / "run/bad_samples.tsv") == "5\tsquare 5\timage: 'five.png': truncated\n");
  config.max_bad_fraction = 0.01;
  const std::string error =
      error_of([&] { train_squares(config, dir / "strict", false, Squares(64, true)); });
  CHECK(contains(error, "1 of 64 samples are bad"));
  CHECK(contains(error, "bad_samples.tsv"));
}

TEST_CASE("training: what stops a run leaves no step before it untold") {
  const TempDir dir;
  TrainConfig config = squares_training();
  config.log_every = 1;
  config.max_bad_fraction = 0;
  struct Late : Squares {  // no sample is bad before the sixth batch
    Late() : Squares(64) {}
    Example get(int64_t index, int64_t epoch) const override {
      check(++taken <= 40, "broken");
      return Squares::get(index, epoch);
    }
    mutable int64_t taken = 0;
  };
  const std::string error = error_of([&] { train_squares(config, dir / "run", false, Late()); });
  CHECK(contains(error, "samples are bad"));
  CHECK(logged_steps(dir / "run") == 5);
}

TEST_CASE("training: a second run does not overwrite the first") {
  const TempDir dir;
  TrainConfig config = squares_training();
  config.epochs = 1;
  train_squares(config, dir / "run");
  CHECK(contains(error_of([&] { train_squares(config, dir / "run"); }), "--resume latest"));
  const RunLog holder(dir / "held", false);
  CHECK(contains(error_of([&] { RunLog again(dir / "held", true); }), "in use"));
}

TEST_CASE("training: a loss that is not finite stops the run before it reaches the weights") {
  const TempDir dir;
  struct White : Squares {
    White() : Squares(64) {}
    Example get(int64_t index, int64_t epoch) const override {
      Example e = Squares::get(index, epoch);
      e.pixels.fill_(epoch == 1 ? 255 : 0);
      if (epoch == 1) std::raise(SIGUSR1);  // to save as soon as there is a step
      return e;
    }
  };
  TrainConfig config = squares_training();
  config.log_every = 1;
  const std::string error =
      error_of([&] { train_squares(config, dir / "run", false, White(), blinded(tiny_config())); });
  CHECK(contains(error, "train: step 9: loss "));
  CHECK(contains(error, "; the first operator with a result that is not finite: "));
  CHECK(contains(error, "; the gradient of logit_scale is not finite; its samples: "));
  CHECK(contains(error, "; no step was taken. A lower "));
  CHECK(contains(newest_checkpoint(dir / "run"), "step_00000008"));
  CHECK(logged_steps(dir / "run") == 8);
}

TEST_CASE("checkpoint: a damaged one is passed over for the one before") {
  const TempDir dir;
  const std::string run = dir / "run";
  train_squares(squares_training(), run);
  const std::string newest = newest_checkpoint(run);
  CHECK(contains(newest, "step_00000024"));
  std::string bytes = get_file(newest + "/training.safetensors");
  bytes[bytes.size() / 2] ^= 1;
  put_file(newest + "/training.safetensors", bytes);
  CHECK(contains(newest_checkpoint(run), "step_00000016"));
  std::filesystem::remove(run + "/checkpoints/step_00000016/manifest.json");
  CHECK(newest_checkpoint(run).empty());
}

TEST_CASE("checkpoint: a save that fails leaves the ones before as they were") {
  const TempDir dir;
  const std::string run = dir / "run";
  train_squares(squares_training(), run);
  const std::string before = newest_checkpoint(run);
  const LoadedModel loaded = load_model(run);
  const nn::AdamW optimizer(*loaded.model, {});
  put_file(run + "/checkpoints/step_00000099.tmp", "in the way");
  std::filesystem::create_directories(run + "/checkpoints/step_00000098.tmp");
  // A file where the folder of checkpoints should be cannot hold one.
  put_file(dir / "file", "");
  const std::string error = error_of([&] {
    save_checkpoint(dir / "file", *loaded.model, loaded.words(), optimizer, {99, 0, 0, 0}, 2);
  });
  CHECK(contains(error, "was not saved"));
  save_checkpoint(run, *loaded.model, loaded.words(), optimizer, {99, 0, 0, 0}, 2);
  CHECK(contains(newest_checkpoint(run), "step_00000099"));
  CHECK(std::filesystem::exists(before));  // the two newest are kept
  CHECK(!std::filesystem::exists(run + "/checkpoints/step_00000016"));
}
