// clip/cli/bench.cpp — `diptych bench`: pairs per second of training and inference, GFLOP/s of
// products and convolutions.
#include "clip/cli/bench.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "clip/cli/command.h"
#include "clip/cli/train_precision.h"
#include "clip/console.h"
#include "clip/cost.h"
#include "clip/loss.h"
#include "clip/train/step.h"
#include "clip/weights/model_spec.h"
#include "nn/adamw.h"
#include "tensor/allocator.h"
#include "tensor/parallel.h"

namespace diptych::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Flags : DeviceFlag {
  TrainPrecisionFlags types;
  LockFlags locks;
  std::vector<std::string> changes;  ///< of the architecture, "key=value"
  std::map<std::string, std::vector<std::string>> given;
  std::string what = "train", model = "small", part = "pair";
  int64_t batch_size = 64, steps = 10, text_length = 0;
  StepFlags step;
  bool json = false;
};

struct Pairs {
  Pictures pictures;
  Captions captions;
};

// u8, as a loader has them: (B, R, R, C).
Tensor random_bytes(const Shape& shape) {
  Tensor bytes = empty(shape, DType::u8);
  PhiloxStream rng(0, 1);
  auto* out = bytes.data<uint8_t>();
  for (int64_t i = 0; i < bytes.numel(); ++i) out[i] = static_cast<uint8_t>(rng.next());
  return bytes;
}

// Random pictures, and captions of `length` tokens: what a step costs does not depend on what they
// show.
Pairs random_pairs(const ModelConfig& c, int64_t B, int64_t length, Device device) {
  PhiloxStream rng(0, 2);
  std::vector<std::vector<int64_t>> captions(static_cast<size_t>(B));
  for (auto& ids : captions)
    for (int64_t t = 0; t < length; ++t) ids.push_back(rng.below(c.text.vocab_size));
  const int64_t R = c.image_size();
  return {{random_bytes({B, R, R, c.channels()}).to(device), pixel_table(c.preprocess).to(device)},
          pack(captions).to(device)};
}

void train_step(Clip& model, nn::AdamW& optimizer, const Pairs& pairs, int64_t accum_freq) {
  accumulate_gradients(model, pairs.pictures, pairs.captions, {.accum_freq = accum_freq});
  optimizer.step(1e-4, nn::grad_squares(model));
  model.zero_grad();
}

void infer(const Clip& model, const Tensor& pixels, const Captions& captions,
           const std::string& part) {
  const NoGrad no_grad;
  if (part == "image") {
    model.encode_image(pixels);
  } else if (part == "text") {
    model.encode_text(captions);
  } else {
    model_loss(model, pixels, captions);
  }
}

Json bench_model(const Flags& flags) {
  const ModelConfig config = model_from(flags.model, flags.changes);
  const int64_t T = flags.text_length ? flags.text_length : config.text.context_length;
  check(T <= config.text.context_length, "bench: --text-length ", T, ", the model reads ",
        config.text.context_length, " tokens");
  Clip model(config);
  model.initialize(0);
  model.to(flags.device());
  const PrecisionConfig types = flags.types.config();
  model.use(types);
  model.set_checkpointing(flags.step.grad_checkpointing);
  const Pairs pairs = random_pairs(config, flags.batch_size, T, flags.device());
  const bool train = flags.what == "train";
  const Tensor pixels = train ? Tensor() : pairs.pictures.part(0, flags.batch_size);
  model.train(train);
  flags.locks.apply(model);
  std::optional<nn::AdamW> optimizer;
  if (train) optimizer.emplace(model, optimizer_config({}, types, 0));
  const Timing t = measure(flags.steps, flags.device(), [&] {
    train ? train_step(model, *optimizer, pairs, flags.step.accum_freq)
          : infer(model, pixels, pairs.captions, flags.part);
  });
  const auto B = static_cast<double>(flags.batch_size);
  Json result{{"bench", flags.what},
              {"model", flags.model},
              {"batch_size", flags.batch_size},
              {"text_length", T},
              {"device", flags.device_name},
              {"precision", name(types.precision)},
              {"adam_stats", name(types.adam_stats)},
              {"text_weights", name(text_dtype(types))},
              {"accum_freq", flags.step.accum_freq},
              {"grad_checkpointing", flags.step.grad_checkpointing},
              {"lock_image", flags.locks.lock_image},
              {"lock_text", flags.locks.lock_text},
              {"threads", num_threads()},
              {"step_ms", 1e3 * t.median},
              {"step_ms_quartiles", {1e3 * t.quartile1, 1e3 * t.quartile3}},
              {"pairs_per_second", B / t.median},
              {"parameters", model.parameter_count()},
              {"peak_rss_mib", peak_rss_mib()}};
  if (!flags.changes.empty()) result["set"] = flags.changes;
  result["peak_tensor_mib"] = allocator(flags.device()).stats().peak_bytes >> 20;
  const bool locked = flags.locks.lock_image || flags.locks.lock_text;  // what is done then varies
  if ((train && !locked) || (!train && flags.part == "pair")) {
    const double forward = forward_flops(config, T);
    result["gflops"] = (train ? 3 : 1) * B * forward / t.median / 1e9;
  }
  return result;
}

Json table(const Flags& flags, const std::vector<Row>& rows) {
  Json lines = Json::array();
  for (const Row& row : rows) {
    Json line{{"name", row.name}};
    for (const auto& [key, value] : row.values) line[key] = value;
    lines.push_back(line);
  }
  return {{"bench", flags.what},
          {"device", flags.device_name},
          {"threads", num_threads()},
          {"rows", lines}};
}

void print_table(const std::vector<Row>& rows) {
  print(fmt::format("{:<26}", ""));
  for (const auto& [key, value] : rows[0].values) print(fmt::format("{:>10}", key));
  print("\n");
  for (const Row& row : rows) {
    print(fmt::format("{:<26}", row.name));
    for (const auto& [key, value] : row.values) print(fmt::format("{:>10.5g}", value));
    print("\n");
  }
}

int run_kernels(const Flags& flags) {
  const auto bench = flags.what == "gemm"   ? bench_gemm
                     : flags.what == "conv" ? bench_conv
                     : flags.what == "ops"  ? bench_ops
                                            : bench_peak;
  const std::vector<Row> rows = bench(flags.steps, flags.device());
  flags.json ? print_json(table(flags, rows)) : print_table(rows);
  return 0;
}

bool measures_kernels(const Flags& flags) { return flags.what != "train" && flags.what != "infer"; }

// Nothing that was asked for is passed over.
void check_flags(const Flags& flags) {
  const auto refuse = [&](bool idle, const char* why, const std::vector<const char*>& given) {
    for (const char* flag : given)
      check_usage(!idle || !flags.given.contains(flag), "bench: ", flag,
                  " says nothing here: ", flags.what, why);
  };
  refuse(measures_kernels(flags), " measures kernels, not a model",
         {"--model", "--set", "--batch-size", "--text-length", "--precision", "--text-weights"});
  refuse(flags.what != "train", " trains nothing",
         {"--adam-stats", "--accum-freq", "--grad-checkpointing", "--checkpointing", "--lock-image",
          "--lock-image-unlocked-groups", "--lock-text"});
  refuse(flags.what != "infer", " is not infer", {"--part"});
  if (!measures_kernels(flags)) flags.step.check(flags.batch_size);
}

int run(const Flags& flags) {
  flags.require();
  check_flags(flags);
  if (measures_kernels(flags)) return run_kernels(flags);
  const Json result = bench_model(flags);
  if (flags.json) {
    print_json(result);
    return 0;
  }
  require_numbers(result, "");
  for (const auto& [key, value] : result.items())
    print(fmt::format("{:<20} {}\n", key, value.dump()));
  return 0;
}

void declare(Command command, Flags& flags) {
  command
      .choice("what", flags.what, "train, infer, gemm, conv, ops, or peak: what the machine can do",
              {"train", "infer", "gemm", "conv", "ops", "peak"})
      .choice("--part", flags.part, "with infer: what to encode", {"pair", "image", "text"})
      .option("--model", flags.model, "architecture by name, or a .json file of one")
      .option("--set", flags.changes, "change it: vision.layers=6, text.type=cbow, …")
      .option("--batch-size", flags.batch_size, "pairs per step", kAtLeastOne)
      .option("--steps", flags.steps, "timed steps, after one to warm up", kAtLeastOne)
      .option("--text-length", flags.text_length, "tokens per caption (default: the whole context)",
              kNotNegative)
      .locks(flags.locks)
      .accumulation(flags.step)
      .flag("--checkpointing", flags.step.grad_checkpointing, "an older name of that")
      .device(flags)
      .json(flags.json)
      .given(flags.given)
      .threads();
  flags.types.declare_types(command);
}

}  // namespace

void add_bench(Commands& commands) {
  commands.add("bench", "measure training, inference, matrix products or convolutions", declare,
               run);
}

}  // namespace diptych::cli
