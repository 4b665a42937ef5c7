// clip/cli/info_memory.cpp — `diptych info`: the memory of a training step, part by part.
#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "clip/cli/info.h"
#include "clip/console.h"

namespace diptych::cli {
namespace {

struct Part {
  const char *key, *what;
  int64_t bytes;
};

std::vector<Part> whole(const TrainingMemory& m) {
  return {{"parameters", "parameters", m.parameters},
          {"copies", "their 16-bit copies", m.copies},
          {"moments", "moments of AdamW", m.moments},
          {"batch", "pictures and tokens", m.batch},
          {"pictures", "pictures in f32", m.pictures},
          {"features", "features, with gradients", m.features},
          {"gradients", "gradients of parameters", m.gradients},
          {"activations", "kept for the backward pass", m.activations}};
}

std::vector<Part> then(const TrainingMemory& m) {
  return {{"state", "the first four", m.state()},
          {"kept", "still kept", m.kept_then},
          {"gradients", "gradients so far", m.gradients_then},
          {"temporaries", "of the operator that runs", m.temporaries_then}};
}

double mib(int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

void print_parts(const std::vector<Part>& parts, const char* indent) {
  for (const Part& part : parts)
    if (part.bytes > 0)
      print(fmt::format("{}{:<28}{:>10.1f}\n", indent, part.what, mib(part.bytes)));
}

}  // namespace

void print_training(const ModelConfig& c, const TrainingSetup& setup) {
  const TrainingMemory memory = training_memory(c, setup);
  const std::string parts =
      setup.accum_freq > 1 ? fmt::format(" in {} parts", setup.accum_freq) : "";
  print(fmt::format("training at batch {}{}, {}, moments {}, text weights {}{}, MiB of tensors:\n",
                    setup.pairs, parts, name(setup.types.precision), name(setup.types.adam_stats),
                    name(text_dtype(setup.types)),
                    setup.checkpointing ? ", blocks computed again" : ""));
  print_parts(whole(memory), "  ");
  print(fmt::format("  {:<28}{:>10.1f}\n", "peak", mib(memory.peak)));
  print_parts(then(memory), "    ");
}

std::string training_json(const ModelConfig& c, const TrainingSetup& setup) {
  const TrainingMemory memory = training_memory(c, setup);
  nlohmann::ordered_json json{{"precision", name(setup.types.precision)},
                              {"adam_stats", name(setup.types.adam_stats)},
                              {"text_weights", name(text_dtype(setup.types))},
                              {"checkpointing", setup.checkpointing},
                              {"accum_freq", setup.accum_freq},
                              {"peak_mib", mib(memory.peak)}};
  for (const Part& part : whole(memory)) json["mib"][part.key] = mib(part.bytes);
  for (const Part& part : then(memory)) json["mib_at_peak"][part.key] = mib(part.bytes);
  return json.dump();
}

}  // namespace diptych::cli
