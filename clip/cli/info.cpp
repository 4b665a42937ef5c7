// clip/cli/info.cpp — `diptych info`: what a model consists of, what it costs.
#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "clip/cli/command.h"
#include "clip/console.h"
#include "clip/cost.h"
#include "tensor/io/file.h"

namespace diptych::cli {
namespace {

struct Flags : ModelFlags {
  int64_t batch_size = 64, text_length = 0;
  bool json = false;
};

ModelConfig config_of(const Flags& flags) {
  if (is_there(flags.model)) return flags.open().model->config();
  check_usage(!flags.any(), "info: '", flags.model,
              "' is no file; flags that describe one say nothing ", "about a model by name");
  return preset(flags.model);
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
  const ModelConfig known = config_of(flags);
  const nn::ShapesOnly shapes_only;  // the largest model would not fit most machines
  const Clip model(known);
  const ModelConfig& config = model.config();
  const int64_t T = flags.text_length ? flags.text_length : config.text.context_length;
  check(T <= config.text.context_length, "info: --text-length ", T, ", the model reads ",
        config.text.context_length, " tokens");
  const Cost cost = estimate_cost(config, model.parameter_count(), flags.batch_size, T);
  if (flags.json) {
    print_json(nlohmann::ordered_json{{"model", flags.model},
                                      {"purpose", preset_purpose(flags.model)},
                                      {"parameters", model.parameter_count()},
                                      {"gflops_per_pair", cost.forward_flops / 1e9},
                                      {"batch_size", flags.batch_size},
                                      {"text_length", T},
                                      {"training_mib", cost.training_bytes >> 20},
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
      cost.forward_flops / 1e9, T));
  print(fmt::format(
      "about {} MiB to train at batch {}: {} MiB parameters, gradients and moments, {} MiB "
      "activations\n",
      cost.training_bytes >> 20, flags.batch_size, cost.state_bytes >> 20,
      (cost.training_bytes - cost.state_bytes) >> 20));
  return 0;
}

void declare(Command command, Flags& flags) {
  std::string names;
  for (const std::string& name : preset_names()) names += (names.empty() ? "" : ", ") + name;
  command.required("model", flags.model, "a file, the folder of a run, or one of " + names)
      .option("--batch-size", flags.batch_size, "for the memory estimate", kAtLeastOne)
      .option("--text-length", flags.text_length, "tokens per caption (default: the whole context)",
              kNotNegative)
      .json(flags.json);
  flags.declare_options(command);
}

}  // namespace

void add_info(Commands& commands) {
  commands.add("info", "layers, parameters, FLOPs and memory of a model", declare, run);
}

}  // namespace diptych::cli
