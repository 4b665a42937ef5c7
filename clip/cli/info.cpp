// clip/cli/info.cpp — `diptych info`: what a model consists of, what it costs.
#include "clip/cli/info.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "clip/cli/command.h"
#include "clip/cli/train_precision.h"
#include "clip/console.h"
#include "clip/cost.h"
#include "clip/weights/model_spec.h"
#include "tensor/io/file.h"

namespace diptych::cli {
namespace {

struct Flags : ModelFlags {
  std::optional<int64_t> batch_size;
  int64_t text_length = 0;
  std::string device_on_paper;
  std::vector<std::string> changes;
  TrainPrecisionFlags types;
  StepFlags step;
  bool json = false;

  int64_t pairs() const { return batch_size.value_or(64); }
};

void check_flags(const Flags& flags) {
  const bool on_device = !flags.device_on_paper.empty();
  check_usage(!on_device || flags.batch_size, "info: --device ", flags.device_on_paper,
              " needs --batch-size: how long a step takes on it depends on that above all");
  const bool memory =
      flags.step.any() || !(flags.types.adam_stats + flags.types.text_weights).empty();
  check_usage(!on_device || !memory,
              "info: --adam-stats, --text-weights, --accum-freq and --grad-checkpointing are about "
              "memory; the step on paper that --device asks for does not know them");
  flags.step.check(flags.pairs());
}

ModelConfig config_of(const Flags& flags) {
  const bool weights = is_there(flags.model) && !is_config_file(flags.model);
  check_usage(!weights || flags.changes.empty(), "info: --set changes an architecture, '",
              flags.model, "' holds weights");
  if (weights) return flags.open().model->config();
  check_usage(!flags.any(), "info: '", flags.model,
              "' is no file of weights; flags that describe one say nothing about an architecture");
  return model_from(flags.model, flags.changes);
}

void print_layers(const Clip& model) {
  struct Line {
    std::string name;
    Shape shape;
    int64_t count = 0;
  };
  std::vector<Line> lines;
  for (const auto& entry : model.state()) {
    const std::string name = nn::of_any_block(entry.name);
    auto it = std::find_if(lines.begin(), lines.end(),
                           [&](const Line& line) { return line.name == name; });
    if (it == lines.end()) it = lines.insert(lines.end(), {name, entry.tensor.shape(), 0});
    ++it->count;
  }
  for (const Line& line : lines) {
    std::ostringstream shape;
    shape << line.shape;
    print(fmt::format("  {:<52} {:<20} {:>4} x {:>12}\n", line.name, shape.str(), line.count,
                      line.shape.numel()));
  }
}

int run(const Flags& flags) {
  const PrecisionConfig types = flags.types.config();
  check_flags(flags);
  const ModelConfig known = config_of(flags);
  const nn::ShapesOnly shapes_only;  // the largest model would not fit most machines
  const Clip model(known);
  const ModelConfig& config = model.config();
  const int64_t T = flags.text_length ? flags.text_length : config.text.context_length;
  check(T <= config.text.context_length, "info: --text-length ", T, ", the model reads ",
        config.text.context_length, " tokens");
  if (!flags.device_on_paper.empty()) {
    tell_step_on(flags.device_on_paper, flags.model, config, {flags.pairs(), T, types.precision},
                 flags.json);
    return 0;
  }
  const TrainingSetup setup{flags.pairs(), T, types, flags.step.grad_checkpointing,
                            flags.step.accum_freq};
  const double forward = forward_flops(config, T);
  if (flags.json) {
    print_json(nlohmann::ordered_json{
        {"model", flags.model},
        {"purpose", preset_purpose(flags.model)},
        {"parameters", model.parameter_count()},
        {"gflops_per_pair", forward / 1e9},
        {"batch_size", flags.pairs()},
        {"text_length", T},
        {"training", nlohmann::ordered_json::parse(training_json(config, setup))},
        {"config", nlohmann::ordered_json::parse(to_json(config))}});
    return 0;
  }
  print_layers(model);
  print(fmt::format("\n{}: {} parameters\n", flags.model, model.parameter_count()));
  if (const std::string purpose = preset_purpose(flags.model); !purpose.empty())
    print(purpose + '\n');
  print(fmt::format(
      "{:.2f} GFLOP per pair and forward pass at {} text tokens (one multiply-add = 2); training "
      "takes three times that\n",
      forward / 1e9, T));
  print_training(config, setup);
  return 0;
}

std::string listed(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  return list;
}

void declare(Command command, Flags& flags) {
  command
      .required("model", flags.model,
                "a file, the folder of a run, a .json with an architecture, or one of " +
                    listed(preset_names()))
      .option("--batch-size", flags.batch_size,
              "pairs per step, for what training takes (default: 64, none with --device)",
              kAtLeastOne)
      .option("--text-length", flags.text_length, "tokens per caption (default: the whole context)",
              kNotNegative)
      .choice("--device", flags.device_on_paper,
              "a training step on paper: FLOPs, bytes, launches and floor of the time per family "
              "of kernels, and what each fusion gains, under the assumptions printed with it",
              paper_devices())
      .accumulation(flags.step)
      .flag("--checkpointing", flags.step.grad_checkpointing, "an older name of that")
      .option("--set", flags.changes, "change the architecture: vision.layers=6, text.type=cbow, …")
      .json(flags.json);
  flags.types.declare_types(command);
  flags.declare_options(command);
}

}  // namespace

void add_info(Commands& commands) {
  commands.add("info", "layers, parameters, FLOPs and memory of a model", declare, run);
}

}  // namespace diptych::cli
