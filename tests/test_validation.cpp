// tests/test_validation.cpp — ranks, the loss floor, validation during training, the best
// checkpoint.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "clip/eval/retrieval.h"
#include "clip/loss.h"
#include "clip/train/validation.h"
#include "tests/program.h"

using namespace diptych;
using namespace diptych::test;

namespace {

/// By sorting: a higher score first, then a lower index.
int64_t plain_rank(const std::vector<float>& scores, int64_t own) {
  std::vector<int64_t> order(scores.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return scores[static_cast<size_t>(a)] > scores[static_cast<size_t>(b)];
  });
  return std::find(order.begin(), order.end(), own) - order.begin();
}

ValidationData squares_validation(int64_t size, bool damaged = false) {
  return {"squares", std::make_unique<Squares>(size, damaged), true, {}, {}, {}};
}

/// Trains on squares with validation; stops after `stop_at` steps if that is not 0.
std::vector<nlohmann::json> validated_run(const std::string& folder, TrainConfig config,
                                          bool resume = false) {
  const Tokenizer words = squares_tokenizer();
  ModelConfig model_config = tiny_config();
  model_config.text.vocab_size = words.vocab_size();
  Clip model(model_config);
  model.initialize(config.seed);
  const Squares data(64);
  const ValidationData validation = squares_validation(20);
  {
    RunLog log(folder, resume, /*echo=*/false);
    Trainer trainer(model, words, data, config, log);
    trainer.set_validation(validation);
    if (resume) trainer.resume(newest_checkpoint(folder));
    trainer.run();
  }
  std::vector<nlohmann::json> records;
  std::istringstream lines(get_file(folder + "/metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) records.push_back(nlohmann::json::parse(line));
  return records;
}

/// What of a record does not depend on the clock.
nlohmann::json timeless(nlohmann::json record) {
  for (const char* key : {"pairs_per_second", "data_wait", "eta_seconds", "time"})
    record.erase(key);
  return record;
}

}  // namespace

TEST_CASE("retrieval: ranks are those of a stable sort, ties included, in blocks too") {
  for (const int64_t N : {1, 7, 2100}) {  // 2100² scores are more than one block
    Tensor queries = randn({N, 3}, {1, 0}), items = randn({N, 3}, {1, 1});
    for (int64_t i = 0; i + 2 < N; i += 3) items.select(0, i + 2).copy_(items.select(0, i));
    const std::vector<int64_t> found = ranks(queries, items);
    const auto all = matmul(queries, transpose(items, 0, 1)).to_vector<float>();
    for (int64_t i = 0; i<N; i += N> 100 ? 97 : 1) {
      const std::vector<float> scores(all.begin() + i * N, all.begin() + (i + 1) * N);
      CHECK(found[static_cast<size_t>(i)] == plain_rank(scores, i));
    }
  }
}

TEST_CASE("retrieval: with all features alike R@1 is 1 / N; the median as open_clip has it") {
  const Tensor same = full({8, 2}, 1);
  const Recall r = recall(ranks(same, same));
  CHECK(r.at1 == 0.125);
  CHECK(r.at5 == 0.625);
  CHECK(r.at10 == 1);
  CHECK(r.mean_rank == 4.5);
  CHECK(r.median_rank == 4);
  CHECK(recall({0, 9, 2}).median_rank == 3);
  CHECK(contains(error_of([] { recall({}); }), "nothing to find"));
}

static double floor_of(const std::vector<std::vector<int64_t>>& captions) {
  return loss_bounds(pack(captions), {}, /*sigmoid=*/false).floor;
}

TEST_CASE("loss floor: no features of repeated captions can do better, and the best do as well") {
  const std::vector<int64_t> a = {1, 3, 9}, b = {1, 4, 9}, c = {1, 4, 4, 9};
  CHECK(floor_of({a, b, c}) == 0);
  CHECK(floor_of({a, b, a, c, a}) == doctest::Approx(3 * std::log(3.0) / 5));
  // Features that say which caption it is, at a scale where nothing else counts.
  const Tensor one_hot = from_vector<float>({1, 0, 0, 1, 1, 0, 1, 0}, {4, 2});
  const double best = contrastive_loss(one_hot, one_hot, full({}, std::log(100.0))).item();
  CHECK(best == doctest::Approx(floor_of({a, b, a, a})).epsilon(1e-6));
}

TEST_CASE("validation: it changes nothing about training") {
  const TempDir dir;
  const std::string without = train_squares(squares_training(), dir / "a");
  validated_run(dir / "b", squares_training());
  CHECK(get_file(newest_checkpoint(dir / "b") + "/model.safetensors") ==
        get_file(newest_checkpoint(dir / "a") + "/model.safetensors"));
}

TEST_CASE("validation: loss over pairs, recall and left-out samples are those of one pass") {
  const Tokenizer words = squares_tokenizer();
  ModelConfig config = tiny_config();
  config.text.vocab_size = words.vocab_size();
  Clip model(config);
  model.initialize(1);
  model.train();
  model.set_dropping(0.3, 0, 1, 1);  // seen if it were validated as it trains
  const ValidationData data = squares_validation(20);
  const ValidationResult r = validate(model, words, data, {.batch_size = 8, .workers = 0});
  CHECK(model.training());
  model.eval();
  const NoGrad no_grad;
  const Tensor table = pixel_table(config.preprocess);
  Loader loader(*data.dataset, words,
                {.batch_size = 8, .workers = 0, .context_length = 8, .shuffle = false});
  loader.start(0);
  double loss = 0;
  std::vector<Tensor> images, texts;
  while (const auto batch = loader.next()) {
    images.push_back(l2_normalize(model.encode_image(normalized(batch->pixels, table))));
    texts.push_back(l2_normalize(model.encode_text(batch->captions)));
    loss += contrastive_loss(images.back(), texts.back(), model.logit_scale()).item() *
            static_cast<double>(batch->indices.size()) / 20;
  }
  CHECK(r.pictures == 20);
  CHECK(*r.loss == doctest::Approx(loss).epsilon(1e-6));
  CHECK(r.image_to_text->at5 == recall(ranks(cat(images, 0), cat(texts, 0))).at5);
  CHECK(r.text_to_image->at5 == recall(ranks(cat(texts, 0), cat(images, 0))).at5);
  CHECK(r.score_name() == "mean R@1");
  const auto damaged = [&](double fraction) {
    return validate(model, words, squares_validation(20, true),
                    {.batch_size = 8, .workers = 0, .max_bad_fraction = fraction});
  };
  CHECK(contains(error_of([&] { damaged(0.01); }), "1 of 20 pictures of 'squares'"));
  CHECK(damaged(0.05).left_out.size() == 1);
}

TEST_CASE("validation: a run that goes on records the same, and keeps what was best") {
  const TempDir dir;
  TrainConfig config = squares_training();
  config.epochs = 4;
  config.log_every = 5;
  config.keep = 1;
  const auto whole = validated_run(dir / "whole", config);
  int64_t validations = 0, best_step = 0;
  double best = -1;
  for (const auto& record : whole) {
    if (!record.contains("val")) continue;
    ++validations;
    const double score = (record["val"]["image_to_text_R@1"].get<double>() +
                          record["val"]["text_to_image_R@1"].get<double>()) /
                         2;
    if (score > best) best_step = record["step"];
    best = std::max(best, score);
  }
  CHECK(validations == 4);
  const std::string marked = best_checkpoint(dir / "whole");
  CHECK(marked == checkpoint_path(dir / "whole", best_step));
  CHECK(is_intact(marked));
  // Cut back to the state after two epochs, as if the process had died then.
  TrainConfig half = config;
  half.keep = 9;
  validated_run(dir / "half", half);
  for (const std::string& checkpoint : checkpoints(dir / "half"))
    if (*step_of_checkpoint(checkpoint) > 16) std::filesystem::remove_all(checkpoint);
  const auto resumed = validated_run(dir / "half", half, /*resume=*/true);
  REQUIRE(resumed.size() == whole.size());
  for (size_t i = 0; i < whole.size(); ++i) CHECK(timeless(resumed[i]) == timeless(whole[i]));
  CHECK(best_checkpoint(dir / "half") == checkpoint_path(dir / "half", best_step));
}

TEST_CASE("validation: rotation spares the best checkpoint, beside those it keeps") {
  const TempDir dir;
  TrainConfig config = squares_training();
  config.epochs = 2;
  config.keep = 9;
  validated_run(dir / "run", config);
  const std::string first = checkpoint_path(dir / "run", 8),
                    second = checkpoint_path(dir / "run", 16);
  REQUIRE(checkpoints(dir / "run").size() == 2);
  CHECK(rotate_checkpoints(dir / "run", second, 1, first).empty());
  CHECK(checkpoints(dir / "run").size() == 2);
  CHECK(rotate_checkpoints(dir / "run", second, 1, second).empty());
  CHECK(checkpoints(dir / "run") == std::vector{second});
}

TEST_CASE("validation: a file called best that is no link of ours stays, and that is said") {
  const TempDir dir;
  TrainConfig config = squares_training();
  config.epochs = 1;
  std::filesystem::create_directories(dir / "run");
  put_file(dir / "run/best", "mine");
  validated_run(dir / "run", config);
  CHECK(get_file(dir / "run/best") == "mine");
  CHECK(contains(get_file(dir / "run/out.log"), "best' is no link"));
}

TEST_CASE("validation: a class without a picture is named, and may be chosen") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string flags = small_run(dir, 1) + "--val-data " + (dir / "v");
  for (const char* name : {"cat", "dog", "empty"})
    std::filesystem::create_directories(dir / (std::string("v/") + name));
  const Outcome none = diptych_run(flags);
  CHECK(none.exit_code == 1);
  CHECK(contains(none.err, "picture below a sub-folder of"));
  CHECK_FALSE(std::filesystem::exists(dir / "run"));
  save_png(dir / "v/cat/1.png", plain(12, 12, {7, 7, 7}));
  save_png(dir / "v/dog/1.png", plain(12, 12, {250, 250, 250}));
  const std::string named =
      "1 of 3 class folders has no picture, but a name to choose from: 'empty'";
  const Outcome run = diptych_run(flags);
  REQUIRE_MESSAGE(run.exit_code == 0, run.err);
  CHECK(contains(get_file(dir / "run/out.log"), "validation: " + named));
  const std::string eval = "eval --truncate --model " + (dir / "run") + " --data " + (dir / "v");
  CHECK(contains(diptych_run(eval).out, named));
  const auto result = nlohmann::json::parse(diptych_run(eval + " --json").out);
  CHECK(result["empty_classes"] == nlohmann::json{"empty"});
  CHECK(result["classes"].size() == 3);
  CHECK(result["listed"] == 2);
}
