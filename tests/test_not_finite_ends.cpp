// tests/test_not_finite_ends.cpp — where passing over steps ends, and what it must not leave
// behind.
#include <doctest/doctest.h>

#include <cmath>
#include <csignal>

#include "tests/precisions.h"
#include "tests/program.h"
#include "tests/spoiled.h"

using namespace diptych;
using namespace diptych::test;

namespace {

// That batch has an infinite gradient.
void spoil(Spoiled& run, int64_t batch) {
  run.data.before = [&run, batch](int64_t b) {
    if (b == batch) set_grad(run.parameter("logit_scale"), full({}, HUGE_VAL));
  };
}

// And all from there on.
void spoil_from(Spoiled& run, int64_t batch) {
  run.data.before = [&run, batch](int64_t b) {
    if (b >= batch) set_grad(run.parameter("logit_scale"), full({}, HUGE_VAL));
  };
}

// Squares that fit a ResNet.
struct Large : Watched {
  Example get(int64_t index, int64_t epoch) const override {
    Example e = Watched::get(index, epoch);
    const Tensor pixels = zeros({32, 32, 3}, DType::u8);
    for (int64_t row = 0; row < 32; ++row)
      pixels.select(0, row).fill_(static_cast<double>((7 * row + index) % 256));
    e.pixels = pixels;
    return e;
  }
};

ModelConfig tiny_resnet() {
  ModelConfig c = preset("tiny-resnet");
  c.text = tiny_config().text;
  return c;
}

}  // namespace

TEST_CASE("not finite: a rollback brings moments, steps and scales back, and no batch again") {
  for (const PrecisionConfig& c : all_precisions()) {
    if (c.precision == Precision::amp_fp16) continue;  // which skips
    CAPTURE(label(c));
    Spoiled run(OnNan::rollback, 3, c), twin(OnNan::rollback, 3, c);
    run.config.keep = 9;
    spoil(run, 10);
    REQUIRE(run.run() == "");
    Checkpoint from = read_checkpoint(checkpoint_path(run.dir / "run", 8));
    from.state.batch = 2;  // the ninth batch was good, and is not seen again either
    twin.log = std::make_unique<RunLog>(twin.dir / "run", false, /*echo=*/false);
    Trainer trainer(twin.model, twin.tokenizer, twin.data, twin.config, *twin.log);
    trainer.resume(from);
    trainer.run();
    const Checkpoint a = read_checkpoint(run.newest()), b = read_checkpoint(twin.newest());
    REQUIRE(a.training.tensors.size() == b.training.tensors.size());
    for (size_t i = 0; i < a.model.tensors.size(); ++i)
      CHECK(same_bits(a.model.tensors[i].tensor, b.model.tensors[i].tensor));
    for (size_t i = 0; i < a.training.tensors.size(); ++i)
      CHECK(same_bits(a.training.tensors[i].tensor, b.training.tensors[i].tensor));
    CHECK(a.optimizer_steps == b.optimizer_steps);
  }
}

TEST_CASE("not finite: a run that was rolled back is stopped and resumed with the same bits") {
  const auto end = [](int64_t stop) {
    Spoiled run(OnNan::rollback, 3), later(OnNan::rollback, 3);
    run.data.before = [&](int64_t batch) {
      if (batch == 10) set_grad(run.parameter("logit_scale"), full({}, HUGE_VAL));
      if (batch == stop) std::raise(SIGTERM);
    };
    CHECK(run.run() == "");
    if (stop > 0) {
      run.log.reset();
      later.log = std::make_unique<RunLog>(run.dir / "run", true, /*echo=*/false);
      Trainer trainer(later.model, later.tokenizer, later.data, later.config, *later.log);
      trainer.resume(run.newest());
      trainer.run();
    }
    return get_file(run.newest() + '/' + kModelFile) + get_file(run.newest() + '/' + kTrainingFile);
  };
  const std::string whole = end(0);
  for (const int64_t stop : {10, 11, 13}) CHECK(end(stop) == whole);
}

TEST_CASE("not finite: without a checkpoint there is nothing to roll back to, and the run stops") {
  Spoiled run(OnNan::rollback, 3);
  spoil(run, 3);
  CHECK(run.run().starts_with("train: step 3: loss "));
  CHECK(contains(run.told(), "there is no checkpoint to roll back to"));
  CHECK(run.newest().empty());
  CHECK(run.steps() == std::vector<int64_t>{1, 2});
}

TEST_CASE("not finite: ten rollbacks to one checkpoint are the most") {
  Spoiled run(OnNan::rollback, 3);
  spoil_from(run, 11);
  CHECK(run.run().starts_with("train: step 9: loss "));
  CHECK(contains(run.told(), "10 rollbacks led to no new checkpoint"));
  CHECK(run.state().skipped == 10);
  CHECK(run.steps().back() == 8);
  // Nor do they end where the last batch of every epoch is bad, and the position is saved again.
  Spoiled last(OnNan::rollback, 3);
  last.data.before = [&](int64_t batch) {
    if (batch > 300) std::raise(SIGTERM);  // it would not end
    if (batch > 8 && batch % 8 == 0)
      set_grad(last.parameter("logit_scale"), full({}, std::nan("")));
  };
  CHECK(last.run().starts_with("train: step 16: loss "));
  CHECK(contains(last.told(), "10 rollbacks led to no new checkpoint"));
  // A checkpoint between them begins a new count: every fourth batch is spoiled, for ever.
  Spoiled on(OnNan::rollback, 9);
  on.data.before = [&](int64_t batch) {
    if (batch > 8 && batch % 8 == 4) set_grad(on.parameter("logit_scale"), full({}, std::nan("")));
  };
  CHECK(on.run() == "");
  CHECK(on.state().step == 72);
  CHECK(on.state().skipped > 10);
}

TEST_CASE("not finite: a rollback goes to no checkpoint that is ahead of the run") {
  Spoiled first(OnNan::rollback, 3);
  first.config.keep = 3;
  REQUIRE(first.run() == "");
  Spoiled again(OnNan::rollback, 3);
  first.log.reset();
  again.log = std::make_unique<RunLog>(first.dir / "run", true, /*echo=*/false);
  Trainer trainer(again.model, again.tokenizer, again.data, again.config, *again.log);
  trainer.resume(checkpoint_path(first.dir / "run", 8));
  spoil(again, 3);  // step 11
  trainer.run();
  CHECK(contains(first.told(), "step 11: loss "));
  CHECK(contains(first.told(), ": rolled back to step 8;"));
  CHECK(trainer.state().step == 24);
}

TEST_CASE("not finite: moments that overflow are found before they are saved") {
  for (const OnNan policy : {OnNan::stop, OnNan::skip, OnNan::rollback}) {
    for (const DType moments : {DType::f32, DType::f16}) {
      CAPTURE(name(policy));
      Spoiled run(policy, 3, {Precision::fp32, moments});
      run.data.before = [&](int64_t batch) {  // its square is infinite in f32, their sum not
        if (batch == 10) set_grad(run.parameter("logit_scale"), full({}, 1e30));
      };
      const std::string error = run.run();
      CAPTURE(error);
      // In f16 the next step is spoiled by the infinite scale, and that is rolled back.
      const bool healed = policy == OnNan::rollback && moments == DType::f16;
      CHECK(error.empty() == healed);
      CHECK(contains(run.newest(), healed ? "step_00000024" : "step_00000008"));
    }
  }
}

TEST_CASE("not finite: a value that no batch reads is found before it is saved") {
  for (const OnNan policy : {OnNan::stop, OnNan::skip, OnNan::rollback}) {
    CAPTURE(name(policy));
    Spoiled run(policy, 3);
    run.data.before = [&](int64_t batch) {
      if (batch == 10)
        run.parameter("token_embedding.weight").select(0, 7).fill_(std::nan(""));  // a byte's
    };
    const std::string error = run.run();
    CAPTURE(error);
    CHECK(contains(error, "step 16"));
    CHECK(contains(error, "token_embedding.weight holds values that are not finite"));
    CHECK(contains(run.newest(), "step_00000008"));
  }
}

TEST_CASE("not finite: a batch that is passed over leaves the running statistics as they were") {
  for (const Precision precision : {Precision::fp32, Precision::amp_bf16, Precision::amp_fp16}) {
    for (const OnNan policy : {OnNan::skip, OnNan::rollback}) {
      CAPTURE(name(precision));
      CAPTURE(name(policy));
      Spoiled run(policy, 2, {precision}, tiny_resnet());
      Large data;
      const Tensor weight = run.parameter("visual.conv1.weight");
      std::string before, after;
      Tensor kept;
      const bool skips = policy == OnNan::skip || precision == Precision::amp_fp16;
      data.before = [&](int64_t batch) {
        if (batch == 11 && skips) Tensor(weight).copy_(kept);
        if (batch == (skips ? 10 : 9)) before = run.bytes();
        if (batch == 11) after = run.bytes();
        if (batch == 10) kept = weight.clone();
        if (batch == 10) Tensor(weight).fill_(std::nan(""));
      };
      run.log = std::make_unique<RunLog>(run.dir / "run", false, /*echo=*/false);
      Trainer trainer(run.model, run.tokenizer, data, run.config, *run.log);
      CHECK(error_of([&] { trainer.run(); }) == "");
      CHECK(trainer.state().skipped >= 1);
      CHECK(before == after);
    }
  }
}

TEST_CASE("not finite: the program says so, and exits with 1") {
  REQUIRE_BINARY();
  const std::pair<const char*, const char*> policies[] = {
      {"stop", "--on-nan skip or rollback would go on"},
      {"skip", "50 steps in a row were not finite"},
      {"rollback", "there is no checkpoint to roll back to"}};
  for (const auto& [policy, words] : policies) {
    CAPTURE(policy);
    const TempDir dir;
    const Outcome r =
        diptych_run(small_run(dir, 30) + "--lr 1e15 --warmup 0 --wd 0 --on-nan " + policy);
    CAPTURE(r.err);
    CHECK(r.exit_code == 1);
    CHECK(contains(r.err, words));
    CHECK(contains(r.err, "train: step "));
  }
  const TempDir dir;
  const Outcome r = diptych_run(small_run(dir, 1) + "--on-nan never");
  CHECK(r.exit_code == 2);
  CHECK(contains(r.err, "--on-nan"));
}
