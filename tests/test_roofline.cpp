// tests/test_roofline.cpp — a training step on paper.
#include <doctest/doctest.h>

#include "clip/cost.h"
#include "clip/model.h"
#include "clip/roofline.h"
#include "tests/program.h"

using namespace diptych;
using namespace diptych::test;

namespace {

const PaperDevice& h100() { return paper_device("h100"); }

PaperStep step_of(const char* model, const PaperBatch& batch, const Fusions& fusions = {}) {
  return paper_step(preset(model), batch, h100(), fusions);
}

double ms(const PaperStep& step) { return 1e3 * step.total().seconds; }
double ms(const PaperStep& step, Family f) { return 1e3 * step[f].seconds; }

constexpr Fusions kBiasesAndCasts{.bias_gradients = true, .copies = true, .wide_gradients = true};
constexpr PaperBatch kLarge{1024, 77, Precision::amp_bf16};

}  // namespace

// By another program with the same assumptions, whose graph is that of a plan, not of the code. It
// differs in what is small: it counts two launches for the gradients of layer norm and of attention
// where cuda/ has three, one or two passes fewer over patches and positions, one pass over pictures
// instead of two, cosines at the rate of 16 bits, and no zeros around the parts of a gradient.
TEST_CASE("roofline: ViT-B/32 at batch 1,024 takes what the plan for it says, within 1 %") {
  const PaperStep step = step_of("ViT-B/32", kLarge, kBiasesAndCasts);
  CHECK(step.model_flops == 41897042116608.0);
  CHECK(ms(step) == doctest::Approx(101.8913).epsilon(0.01).scale(0));
  CHECK(step.share_of(989e12) == doctest::Approx(0.415767).epsilon(0.01).scale(0));
  const std::pair<Family, double> families[] = {
      {Family::forward, 21.86},           {Family::input_gradients, 21.05},
      {Family::weight_gradients, 20.74},  {Family::activation, 14.05},
      {Family::layer_norm, 9.67},         {Family::attention_forward, 2.46},
      {Family::attention_backward, 4.91}, {Family::joins, 3.62},
      {Family::gradient_norm, 0.22},      {Family::adamw, 1.51}};
  for (const auto& [family, expected] : families) {
    CAPTURE(std::string(name(family)));
    CHECK(ms(step, family) == doctest::Approx(expected).epsilon(0.025).scale(0));
  }
}

TEST_CASE("roofline: other stages of that plan, and of ViT-L/14's, within 1 %") {
  CHECK(ms(step_of("ViT-B/32", kLarge)) == doctest::Approx(109.5713).epsilon(0.01).scale(0));
  const PaperBatch large{256, 77, Precision::amp_bf16};
  CHECK(ms(step_of("ViT-L/14", large)) == doctest::Approx(293.8).epsilon(0.01).scale(0));
  const Fusions all{true, true, true, true, true, true};
  CHECK(ms(step_of("ViT-L/14", large, all)) == doctest::Approx(241.8).epsilon(0.01).scale(0));
  CHECK(ms(step_of("ViT-B/32", kLarge, all)) == doctest::Approx(83.6).epsilon(0.01).scale(0));
}

// clip/cost.cpp counts the same products from the shapes of layers; it leaves out the loss.
TEST_CASE("roofline: forward FLOPs are those of the estimated cost, for every model") {
  const nn::ShapesOnly shapes_only;
  for (const std::string& name : preset_names()) {
    CAPTURE(name);
    const ModelConfig c = preset(name);
    const int64_t B = 3, T = 7;
    const PaperStep step = paper_step(c, {B, T, Precision::fp32}, h100(), {});
    const auto logits = static_cast<double>(2 * B * B * c.embed_dim);
    CHECK(step[Family::forward].flops + step[Family::attention_forward].flops ==
          doctest::Approx(B * forward_flops(c, T) + logits).epsilon(1e-12).scale(0));
  }
}

TEST_CASE("roofline: every fusion gains, and none changes what belongs to the model") {
  for (const char* model : {"ViT-B/32", "RN50"}) {
    CAPTURE(model);
    const auto stages = paper_stages(preset(model), kLarge, h100());
    REQUIRE(stages.size() == 7);
    for (size_t i = 1; i < stages.size(); ++i) {
      CAPTURE(stages[i].fusion);
      CHECK(ms(stages[i].step) < ms(stages[i - 1].step));
      CHECK(stages[i].step.model_flops == stages[0].step.model_flops);
      CHECK(stages[i].built <= stages[i - 1].built);
    }
  }
  // In f32 there are no casts to save.
  const auto stages = paper_stages(preset("tiny"), {64, 16, Precision::fp32}, h100());
  CHECK(stages.size() == 5);
}

TEST_CASE("roofline: what is built is the last stage that is, and takes longer as it is written") {
  const ModelConfig c = preset("ViT-B/32");
  const auto stages = paper_stages(c, kLarge, h100());
  const PaperStage& built = built_stage(stages);
  CHECK(built.built);
  const PaperStep written = step_as_written(c, kLarge, h100());
  CHECK(ms(written, Family::forward) == ms(built.step, Family::forward));
  // x and g a second time: of 2 + 2 + 3 passes, over all norms but three, which are computed once.
  CHECK(written[Family::layer_norm].bytes / built.step[Family::layer_norm].bytes ==
        doctest::Approx(9.0 / 7).epsilon(0.01).scale(0));
  CHECK(written[Family::attention_backward].bytes / built.step[Family::attention_backward].bytes ==
        doctest::Approx(13.0 / 8).epsilon(0.03).scale(0));
}

// Sides 16, 16, 16 of the stem, then 8, 8, 4, 2: pixels times channels of every convolution.
TEST_CASE("roofline: batch norm moves eight passes over the results of all convolutions") {
  const int64_t B = 5, stem = 256 * (8 + 8 + 16), one = 64 * (16 + 16 + 64 + 64),
                two = 64 * (32 + 32) + 16 * (128 + 128), three = 16 * (64 + 64) + 4 * (256 + 256),
                four = 4 * (128 + 128) + 512 + 512;
  const auto results = static_cast<double>(B * (stem + one + two + three + four));
  CHECK(step_of("tiny-resnet", {B, 16, Precision::fp32})[Family::batch_norm].bytes ==
        8 * 4 * results);
  CHECK(step_of("tiny-resnet", {B, 16, Precision::amp_fp16})[Family::batch_norm].bytes ==
        8 * 2 * results);
}

TEST_CASE("roofline: AdamW moves 28 bytes a parameter, 30 with 16-bit copies, 24 without masters") {
  const double P = 151277313;
  const auto bytes = [&](Precision p) {
    return step_of("ViT-B/32", {4, 77, p}, kBiasesAndCasts)[Family::adamw].bytes / P;
  };
  CHECK(bytes(Precision::fp32) == 28);
  CHECK(bytes(Precision::amp_bf16) == 30);
  CHECK(bytes(Precision::amp_fp16) == 30);
  CHECK(bytes(Precision::pure_bf16) == 24);
}

TEST_CASE("roofline: no product takes less than its bytes or its FLOPs at the peak") {
  for (const Precision p : {Precision::fp32, Precision::amp_bf16}) {
    for (const char* model : {"tiny", "RN50", "ViT-L/14"}) {
      const PaperStep step = step_of(model, {32, 16, p});
      for (const Family f : {Family::forward, Family::input_gradients, Family::weight_gradients,
                             Family::attention_forward, Family::attention_backward}) {
        CAPTURE(std::string(name(f)));
        const double seconds = step[f].seconds * (1 + 1e-12);  // sums of many, each rounded
        CHECK(seconds >= step[f].bytes / h100().memory);
        CHECK(seconds >= step[f].flops / h100().peak_of(p));
      }
      CHECK(step.share_of(h100().peak_of(p)) < 1);
    }
  }
}

TEST_CASE("info: a step on paper needs a batch size, and a device that is known") {
  REQUIRE_BINARY();
  const auto run = [](const std::string& flags) { return diptych_run("info tiny " + flags); };
  CHECK(run("--device h100").exit_code == 2);
  CHECK(contains(run("--device h100").err, "needs --batch-size"));
  CHECK(run("--device cpu --batch-size 4").exit_code == 2);
  CHECK(contains(run("--device cpu --batch-size 4").err, "h100"));
  CHECK(run("--device h100 --batch-size 4 --precision amp_bf17").exit_code == 2);
  CHECK(contains(run("--device h100 --batch-size 4 --precision amp_bf17").err, "amp_bf16?"));
  CHECK(run("--device h100 --batch-size 4 --text-length 17").exit_code == 1);
}

TEST_CASE("info: a step on paper says what it assumes and what is not built") {
  REQUIRE_BINARY();
  const std::string flags = "info ViT-B-32 --device h100 --batch-size 1024 --precision ";
  const Outcome half = diptych_run(flags + "amp_bf16"), wide = diptych_run(flags + "fp32");
  CHECK(half.exit_code == 0);
  CHECK(contains(half.out, "989 TFLOP/s of dense 16-bit products"));
  CHECK(contains(half.out, "not built"));
  CHECK(contains(half.out, "41.90 TFLOP belong to the model"));
  CHECK(contains(wide.out, "no TF32"));
  CHECK(contains(diptych_run(flags + "amp_bf16 --json").out, "\"share_of_peak\""));
}
