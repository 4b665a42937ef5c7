// tests/test_train_step.cpp — one step of training, part by part.
#include <doctest/doctest.h>

#include <cmath>

#include "clip/loss.h"
#include "clip/train/step.h"
#include "nn/schedule.h"
#include "tests/squares.h"

using namespace diptych;
using namespace diptych::test;

namespace {

/// A trainer over squares, and batches for it.
struct Bench {
  explicit Bench(TrainConfig c, const ModelConfig& model_base = tiny_config())
      : config(c),
        base(model_base),
        tokenizer(squares_tokenizer()),
        data(64),
        model(model_config()) {
    model.initialize(config.seed);
    log = std::make_unique<RunLog>(dir / "run", false, /*echo=*/false);
    trainer = std::make_unique<Trainer>(model, tokenizer, data, config, *log);
    loader = std::make_unique<Loader>(
        data, tokenizer,
        LoaderOptions{.batch_size = config.batch_size, .workers = 0, .context_length = 8});
    loader->start(0);
  }

  ModelConfig model_config() const {
    ModelConfig c = base;
    c.text.vocab_size = tokenizer.vocab_size();
    return c;
  }

  QueuedStep queue_step() { return trainer->queue_step(*loader->next()); }
  StepRecord step() { return trainer->finish(queue_step()); }

  TrainConfig config;
  ModelConfig base;
  TempDir dir;
  Tokenizer tokenizer;
  Squares data;
  Clip model;
  std::unique_ptr<RunLog> log;
  std::unique_ptr<Trainer> trainer;
  std::unique_ptr<Loader> loader;
};

std::vector<Tensor> parameters_of(const Bench& bench) {
  std::vector<Tensor> values;
  for (const Tensor& p : bench.model.parameters()) values.push_back(p.clone());
  return values;
}

void check_same(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  for (size_t i = 0; i < a.size(); ++i) CHECK(same_bits(a[i], b[i]));
}

double gradient_norm(const Clip& model, const Batch& batch) {
  const Tensor table = pixel_table(model.config().preprocess);
  accumulate_gradients(model, normalized(batch.pixels, table), batch.captions);
  return nn::grad_norm(model);
}

// The largest change of any parameter in a step.
double largest_change(Bench& bench) {
  const std::vector<Tensor> before = parameters_of(bench);
  bench.step();
  double most = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    const auto a = before[i].to_vector<double>(),
               b = bench.model.parameters()[i].to_vector<double>();
    for (size_t k = 0; k < a.size(); ++k) most = std::max(most, std::fabs(a[k] - b[k]));
  }
  return most;
}

}  // namespace

TEST_CASE("training: one step begins with no gradients and ends with none") {
  Bench bench(squares_training());
  bench.step();
  for (const Tensor& p : bench.model.parameters()) CHECK_FALSE(grad(p).defined());
  const Batch batch = *bench.loader->next();
  Clip twin(bench.model_config());
  std::vector<NamedTensor> values;
  for (const auto& entry : bench.model.state()) values.push_back({entry.name, entry.tensor});
  twin.load_state(values);
  const StepRecord record = bench.trainer->finish(bench.trainer->queue_step(batch));
  CHECK(record.grad_norm == gradient_norm(twin, batch));
  CHECK(record.step == 2);
}

TEST_CASE("training: one step takes the rate of its own number, from 0") {
  TrainConfig config = squares_training();
  config.warmup = 4;
  Bench bench(config);
  for (int64_t step = 0; step < 6; ++step)
    CHECK(bench.step().lr == nn::cosine_with_warmup(step, config.lr, 4, 24));
}

// AdamW forgets the size of a gradient, but for eps: with an eps far above it a step is
// lr · clipped gradient / eps.
TEST_CASE("training: one step scales the gradients down to the largest norm allowed") {
  TrainConfig config = squares_training();
  config.optimizer = {.eps = 1e6, .weight_decay = 0};
  config.warmup = 0;
  config.lr = 1e3;
  Bench free(config), probe(config);
  const double norm = gradient_norm(probe.model, *probe.loader->next());
  config.grad_clip_norm = norm / 4;
  Bench clipped(config);
  const double ratio = largest_change(clipped) / largest_change(free);
  CHECK(ratio == doctest::Approx(0.25).epsilon(1e-3));  // eps is 10⁴ times the gradients
}

TEST_CASE("training: one step leaves the temperature within its bounds") {
  TrainConfig config = squares_training();
  config.lr = 0.5;
  config.warmup = 0;
  Bench bench(config);
  // Pictures and captions do not fit each other yet, so the first step makes the model less sure.
  bench.model.logit_scale().detach().fill_(0);
  bench.step();
  CHECK(bench.model.logit_scale().item() == 0);
}

TEST_CASE("training: one step that is not finite leaves the parameters, and so do those after it") {
  for (const double bad : {std::nan(""), HUGE_VAL}) {
    Bench bench(squares_training());
    bench.step();
    const std::vector<Tensor> before = parameters_of(bench);
    set_grad(bench.model.logit_scale(), full({}, bad));  // backward adds to it
    const QueuedStep second = bench.queue_step();
    const QueuedStep third = bench.queue_step();  // before anybody has read the second's numbers
    check_same(parameters_of(bench), before);
    CHECK(contains(error_of([&] { bench.trainer->finish(second); }), "train: step 2: loss 2."));
    CHECK(bench.trainer->finish(third).step == 3);
  }
}

TEST_CASE("training: one step is spoiled by a loss that is not finite, and by no other") {
  const Tensor squares = full({}, 4, DType::f64);
  CHECK(spoiled(squares, full({}, 1e30)).item() == 4);
  for (const double bad : {std::nan(""), HUGE_VAL, -HUGE_VAL})
    CHECK(std::isnan(spoiled(squares, full({}, bad)).item()));
}

TEST_CASE("training: one step that is not finite is named with its first bad gradient") {
  Bench bench(squares_training(), blinded(tiny_config()));
  Batch black = *bench.loader->next(), white = *bench.loader->next();
  black.pixels.fill_(0);
  white.pixels.fill_(255);
  bench.trainer->finish(bench.trainer->queue_step(black));
  const QueuedStep second = bench.trainer->queue_step(white);
  bench.trainer->queue_step(black);
  const std::string error = error_of([&] { bench.trainer->finish(second); });
  CHECK(contains(error, "train: step 2: loss "));
  CHECK(contains(error, "; the gradient of logit_scale is not finite; its samples: "));
  CHECK(contains(error, "; no step was taken"));
}

TEST_CASE("training: one step's temperature is what the step made of it") {
  Bench bench(squares_training());
  const StepRecord record = bench.step();
  CHECK(record.logit_scale == std::exp(bench.model.logit_scale().item()));
  CHECK(record.logit_scale != doctest::Approx(1 / 0.07).epsilon(1e-6));
}
