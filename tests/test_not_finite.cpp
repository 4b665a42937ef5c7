// tests/test_not_finite.cpp — NaN and infinities put in ten places, and what each policy makes of
// them.
#include <doctest/doctest.h>

#include <cmath>

#include "tests/precisions.h"
#include "tests/spoiled.h"

using namespace diptych;
using namespace diptych::test;

namespace {

struct Place {
  const char* what;
  bool stays;      // the next batch meets it too
  const char* op;  // where it is seen first, if not where a copy is made; none: nowhere again
  std::function<void(Spoiled&)> spoil;
};

std::function<void(Spoiled&)> value_in(const char* name, double value) {
  return [=](Spoiled& run) { run.parameter(name).view({-1}).slice(0, 0, 1).fill_(value); };
}

const std::vector<Place>& places() {
  static const double nan = std::nan("");
  static const std::vector<Place> all = {
      {"a pixel", false, "cast (8, 3, 8, 8)", [](Spoiled& run) { run.data.white = true; }},
      {"a weight of the image tower", true, "matmul (8, 16)", value_in("visual.proj", nan)},
      {"a weight of the text tower", true, "matmul (8, 16)",
       value_in("text_projection", -HUGE_VAL)},
      {"a row of the embedding", true, "gather_rows (",
       [](Spoiled& run) {
         run.parameter("token_embedding.weight").select(0, run.tokenizer.end_token()).fill_(nan);
       }},
      {"the gain of a layer norm", true, "layer_norm (", value_in("visual.ln_post.weight", nan)},
      {"a bias", true, "linear_of (", value_in("transformer.resblocks.0.mlp.c_fc.bias", HUGE_VAL)},
      {"the temperature", true, "exp ()", value_in("logit_scale", nan)},
      {"a gradient", false, nullptr,
       [](Spoiled& run) { set_grad(run.parameter("logit_scale"), full({}, HUGE_VAL)); }},
      {"an activation", true, "linear",
       [](Spoiled& run) {
         run.parameter("visual.transformer.resblocks.0.mlp.c_fc.weight").fill_(3e38);
       }},
      {"the loss", true, "exp ()", value_in("logit_scale", 1e4)},
  };
  return all;
}

// Steps 1 … 8 fill an epoch and are saved; the tenth batch is spoiled.
constexpr int64_t kSpoiled = 10;

void prepare(Spoiled& run, const Place& place) {
  run.data.black_and_white = place.what == std::string("a pixel");
  run.data.before = [&](int64_t batch) {
    run.data.white = false;
    if (batch == kSpoiled) place.spoil(run);
  };
}

ModelConfig model_for(const Place& place) {
  return place.what == std::string("a pixel") ? blinded(tiny_config()) : tiny_config();
}

std::vector<PrecisionConfig> some_precisions() {
  return {{}, {Precision::amp_bf16, DType::f16, DType::bf16}};
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

template <class F>
void for_all_places(const F& f) {
  for (const PrecisionConfig& precision : some_precisions()) {
    for (const Place& place : places()) {
      CAPTURE(label(precision));
      CAPTURE(place.what);
      f(place, precision);
    }
  }
}

}  // namespace

TEST_CASE("not finite: stop names the step, its samples and the first operator") {
  for_all_places([](const Place& place, const PrecisionConfig& precision) {
    Spoiled run(OnNan::stop, 3, precision, model_for(place));
    prepare(run, place);
    const std::string error = run.run();
    CAPTURE(error);
    CHECK(error.starts_with("train: step 10: loss "));
    CHECK(contains(error, "; its samples: " + joined(run.data.batches[kSpoiled]) + "; no step"));
    const std::string first = "; the first operator with a result that is not finite: ";
    CHECK(contains(error, first) == (place.op != nullptr));
    if (place.op) CHECK((contains(error, first + place.op) || contains(error, first + "cast (")));
    CHECK(contains(run.newest(), "step_00000008"));
    CHECK(run.steps().back() == 9);
    CHECK(run.state().skipped == 0);
  });
}

TEST_CASE("not finite: skip passes over the batch, or ends when 50 in a row are spoiled") {
  for_all_places([](const Place& place, const PrecisionConfig& precision) {
    Spoiled run(OnNan::skip, place.stays ? 8 : 3, precision, model_for(place));
    prepare(run, place);
    run.config.save_every = 9;  // or what stays would end the run there
    std::string before;
    const auto spoil = run.data.before;
    run.data.before = [&](int64_t batch) {
      if (batch == kSpoiled + 1) CHECK(run.bytes() == before);
      if (batch == kSpoiled + 2) CHECK((run.bytes() == before) == place.stays);
      spoil(batch);
      if (batch == kSpoiled) before = run.bytes();
    };
    const std::string error = run.run();
    CAPTURE(error);
    CHECK(contains(run.told(), "step 10: loss "));
    CHECK(contains(run.told(), ": skipped; its samples: " + joined(run.data.batches[kSpoiled])));
    if (place.stays) {
      CHECK(error.starts_with("train: step 59: loss "));
      CHECK(contains(run.told(), "50 steps in a row were not finite"));
      CHECK(run.newest().empty());
      return;
    }
    CHECK(error.empty());
    CHECK(run.state().step == 24);
    CHECK(run.state().skipped == 1);
    CHECK(run.steps().size() == 23);
    CHECK(contains(run.told(), ", 1 step skipped; checkpoint in"));
    CHECK(read_checkpoint(run.newest()).optimizer_steps == 23);
  });
}

TEST_CASE("not finite: rollback restores the checkpoint and goes on behind the batch") {
  for_all_places([](const Place& place, const PrecisionConfig& precision) {
    Spoiled run(OnNan::rollback, 3, precision, model_for(place));
    prepare(run, place);
    std::string saved, then;
    const auto spoil = run.data.before;
    run.data.before = [&](int64_t batch) {
      if (batch == 9) saved = run.bytes();
      if (batch == kSpoiled + 1) then = run.bytes();
      spoil(batch);
    };
    CHECK(run.run() == "");
    CHECK(then == saved);
    CHECK(contains(run.told(), ": rolled back to step 8; its samples: " +
                                   joined(run.data.batches[kSpoiled]) + '\n'));
    CHECK(run.state().step == 24);
    CHECK(run.state().skipped == 1);
    const Checkpoint end = read_checkpoint(run.newest());
    CHECK(end.state.step == 24);
    CHECK(end.optimizer_steps == 24);  // moments and t are those of step 8, too
    const std::vector<int64_t> steps = run.steps();
    REQUIRE(steps.size() == 24);
    for (size_t i = 0; i < steps.size(); ++i) CHECK(steps[i] == static_cast<int64_t>(i) + 1);
    for (const auto& [sample, times] : run.data.times) CHECK(times == 1);
  });
}
