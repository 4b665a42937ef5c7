// clip/memory.cpp — parameters, moments, activations and temporaries of a training step.
#include "clip/memory.h"

#include <algorithm>

#include "clip/memory_tape.h"
#include "clip/model.h"

namespace diptych {
namespace {

using Entry = nn::Module::Entry;

bool has(const std::string& name, const char* part) { return name.find(part) != std::string::npos; }

bool in_text_tower(const Entry& p) {
  return !p.name.starts_with("visual.") && p.name != "logit_scale";
}

/// What Clip::use() makes of a parameter.
DType kept_dtype(const Entry& p, const PrecisionConfig& types) {
  if (p.name == "logit_scale") return DType::f32;
  if (in_text_tower(p) && p.tensor.rank() >= 2) return text_dtype(types);
  return parameter_dtype(types.precision);
}

/// Norms read their gains in f32, tables are read row by row, the temperature meets f32.
bool read_by_products(const Entry& p) {
  const bool gain = has(p.name, "ln_") || has(p.name, "bn") || has(p.name, "downsample.1.");
  const bool table = in_text_tower(p) && has(p.name, "_embedding");
  return !gain && !table && p.name != "logit_scale";
}

/// Of all parameters: copies where products read a narrower type, moments with a scale per tensor,
/// or per row of a table, if they are f16.
void add_parameters(const std::vector<Entry>& parameters, const TrainingSetup& setup,
                    TrainingMemory& memory) {
  const PrecisionConfig& types = setup.types;
  const int64_t flowing = size_of(compute_dtype(types.precision));
  for (const Entry& p : parameters) {
    const int64_t n = p.tensor.numel(), size = size_of(kept_dtype(p, types));
    const int64_t scales = types.adam_stats != DType::f16 ? 0 : p.table ? p.tensor.dim(0) : 1;
    memory.parameters += size * n;
    if (read_by_products(p) && flowing < size) memory.copies += flowing * n;
    memory.moments += 2 * (size_of(types.adam_stats) * n + 4 * scales);
    memory.gradients += 4 * n;
  }
}

/// Features and their normalised forms, logits by rows and by columns beside the cosines, all f32.
void loss_on(MemoryTape& tape, int64_t E) {
  const int64_t features = tape.wide(tape.B * E), logits = tape.wide(tape.B * tape.B);
  tape.add({2 * features, 0, 4 * features});
  tape.add({3 * logits, tape.wide(1), 3 * logits});
}

std::vector<MemoryStep> steps_of(const ModelConfig& c, MemoryTape& tape) {
  tape.weights_are(parameter_dtype(tape.setup.types.precision));
  std::visit([&](const auto& vision) { image_tower_on(tape, vision, c); }, c.vision);
  tape.weights_are(text_dtype(tape.setup.types));
  text_tower_on(tape, c);
  loss_on(tape, c.embed_dim);
  return tape.steps();
}

}  // namespace

MemoryPeak peak_of(const std::vector<MemoryStep>& steps) {
  MemoryPeak now, most;
  for (const MemoryStep& step : steps) now.kept += step.kept;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    now.temporaries = step->temporaries;
    if (now.all() > most.all()) most = now;
    now.kept -= step->kept;
    now.gradients += step->gradients;
  }
  return most;
}

MemoryTape::MemoryTape(const TrainingSetup& s)
    : setup(s), B(s.pairs), compute_(compute_dtype(s.types.precision)) {}

void MemoryTape::append(int64_t x, int64_t y, std::vector<MemoryStep> inside) {
  if (setup.checkpointing) {
    MemoryStep whole{x, 0, peak_of(inside).all() + y};
    for (const MemoryStep& step : inside) whole.gradients += step.gradients;
    return add(whole);
  }
  inside.front().kept += x;
  steps_.insert(steps_.end(), inside.begin(), inside.end());
}

MemoryStep product_step(const MemoryTape& tape, int64_t N, int64_t K, bool bias, int64_t kept,
                        int64_t flows) {
  const int64_t dw = tape.wide(N * K), db = bias ? tape.wide(N) : 0;
  return {kept + tape.cast(N * K), dw + db, flows + dw};
}

TrainingMemory training_memory(const ModelConfig& c, const TrainingSetup& setup) {
  const nn::ShapesOnly shapes_only;
  const Clip model(c);
  MemoryTape tape(setup);
  TrainingMemory memory;
  add_parameters(model.named_parameters(), setup, memory);
  memory.batch = tape.wide(setup.pairs * c.channels() * c.image_size() * c.image_size()) +
                 tape.indices(setup.pairs * setup.tokens);
  const std::vector<MemoryStep> steps = steps_of(c, tape);
  for (const MemoryStep& step : steps) memory.activations += step.kept;
  MemoryPeak most = peak_of(steps);
  if (memory.gradients > most.all()) most = {0, memory.gradients, 0};  // AdamW's step
  memory.kept_then = most.kept;
  memory.gradients_then = most.gradients;
  memory.temporaries_then = most.temporaries;
  memory.peak = memory.state() + most.all();
  return memory;
}

}  // namespace diptych
