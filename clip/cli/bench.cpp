// clip/cli/bench.cpp — `diptych bench`: pairs per second of training and inference, GFLOP/s of
// products.
#include <fmt/core.h>
#include <sys/resource.h>

#include <nlohmann/json.hpp>

#include "clip/cli/command.h"
#include "clip/cost.h"
#include "clip/loss.h"
#include "clip/progress.h"
#include "nn/optim.h"
#include "tensor/parallel.h"

namespace diptych::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Flags {
  std::string what = "train", model = "small";
  int64_t batch_size = 64, steps = 10, text_length = 0;
  bool json = false;
};

struct Timing {
  double median = 0, quartile1 = 0, quartile3 = 0;  // seconds
};

// One call to warm up, then `steps` timed ones.
Timing measure(int64_t steps, const std::function<void()>& f) {
  f();
  std::vector<double> times;
  for (int64_t i = 0; i < steps; ++i) {
    const double start = seconds_now();
    f();
    times.push_back(seconds_now() - start);
  }
  std::sort(times.begin(), times.end());
  const size_t n = times.size();
  return {times[n / 2], times[n / 4], times[3 * n / 4]};
}

int64_t peak_rss_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss >> 10;
}

struct Pairs {
  Tensor pixels, tokens, offsets;
};

// Random pictures, and captions of `length` tokens: what a step costs does not depend on what they
// show.
Pairs random_pairs(const ModelConfig& c, int64_t B, int64_t length) {
  PhiloxStream rng(0, 2);
  std::vector<int64_t> tokens, offsets{0};
  for (int64_t b = 0; b < B; ++b) {
    for (int64_t t = 0; t < length; ++t) tokens.push_back(rng.below(c.text.vocab_size));
    offsets.push_back(static_cast<int64_t>(tokens.size()));
  }
  const int64_t R = c.image_size();
  return {randn({B, c.channels(), R, R}, {0, 1}), from_vector(tokens, {B * length}),
          from_vector(offsets, {B + 1})};
}

Json bench_model(const Flags& flags) {
  const ModelConfig config = preset(flags.model);
  const int64_t T = flags.text_length ? flags.text_length : config.text.context_length;
  Clip model(config);
  model.initialize(0);
  nn::AdamW optimizer(model, {});
  const Pairs pairs = random_pairs(config, flags.batch_size, T);
  const bool train = flags.what == "train";
  model.train(train);
  const Timing t = measure(flags.steps, [&] {
    const GradMode mode(train);
    const ContrastiveLoss out =
        contrastive_loss(model.encode_image(pairs.pixels),
                         model.encode_text(pairs.tokens, pairs.offsets), model.logit_scale());
    if (!train) return;
    backward(out.loss);
    optimizer.step(1e-4);
    model.zero_grad();
  });
  const auto B = static_cast<double>(flags.batch_size);
  const double flops =
      (train ? 3 : 1) * B *
      estimate_cost(config, model.parameter_count(), flags.batch_size, T).forward_flops;
  return {{"bench", flags.what},
          {"model", flags.model},
          {"batch_size", flags.batch_size},
          {"text_length", T},
          {"threads", num_threads()},
          {"step_ms", 1e3 * t.median},
          {"step_ms_quartiles", {1e3 * t.quartile1, 1e3 * t.quartile3}},
          {"pairs_per_second", B / t.median},
          {"gflops", flops / t.median / 1e9},
          {"parameters", model.parameter_count()},
          {"peak_rss_mib", peak_rss_mib()}};
}

Json bench_gemm(const Flags& flags) {
  struct Product {
    int64_t M, K, N;
  };
  Json rows = Json::array();
  const NoGrad no_grad;
  for (const auto& [M, K, N] : {Product{128, 96, 128},
                                {6400, 96, 288},
                                {6400, 384, 96},
                                {384, 6400, 96},
                                {800, 768, 3072},
                                {1024, 1024, 1024},
                                {2048, 2048, 2048}}) {
    const Tensor a = randn({M, K}, {0, 1}), b = randn({K, N}, {0, 2});
    const Timing t = measure(flags.steps, [&] { matmul(a, b); });
    rows.push_back({{"M", M},
                    {"K", K},
                    {"N", N},
                    {"ms", 1e3 * t.median},
                    {"gflops", 2.0 * static_cast<double>(M * K * N) / t.median / 1e9}});
  }
  return {{"bench", "gemm"}, {"threads", num_threads()}, {"products", rows}};
}

int run(const Flags& flags) {
  const Json result = flags.what == "gemm" ? bench_gemm(flags) : bench_model(flags);
  if (flags.json) {
    fmt::print("{}\n", result.dump());
    return 0;
  }
  if (flags.what == "gemm") {
    for (const auto& p : result["products"]) {
      fmt::print("({:>5}, {:>5}) x ({:>5}, {:>5})  {:>9.3f} ms  {:>7.1f} GFLOP/s\n",
                 p["M"].get<int64_t>(), p["K"].get<int64_t>(), p["K"].get<int64_t>(),
                 p["N"].get<int64_t>(), p["ms"].get<double>(), p["gflops"].get<double>());
    }
    return 0;
  }
  for (const auto& [key, value] : result.items()) fmt::print("{:<20} {}\n", key, value.dump());
  return 0;
}

void declare(Command command, Flags& flags) {
  command.choice("what", flags.what, "train, infer or gemm", {"train", "infer", "gemm"})
      .option("--model", flags.model, "architecture by name")
      .option("--batch-size", flags.batch_size, "pairs per step", kAtLeastOne)
      .option("--steps", flags.steps, "timed steps, after one to warm up", kAtLeastOne)
      .option("--text-length", flags.text_length, "tokens per caption (default: the whole context)",
              kNotNegative)
      .json(flags.json)
      .threads();
}

}  // namespace

void add_bench(Commands& commands) {
  commands.add("bench", "measure training, inference or matrix products", declare, run);
}

}  // namespace diptych::cli
