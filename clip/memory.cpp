// clip/memory.cpp — parameters, moments, activations and temporaries of a training step.
#include "clip/memory.h"

#include <algorithm>
#include <utility>

#include "autograd/ops.h"
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
    memory.parameters += size * n + (setup.average ? 4 * n : 0);
    if (read_by_products(p) && flowing < size) memory.copies += flowing * n;
    memory.moments += setup.moments * (size_of(types.adam_stats) * n + 4 * scales);
    memory.gradients += 4 * n;
  }
}

/// Of what is there at once: pictures are bytes, tokens have a layout beside them.
void add_batches(const ModelConfig& c, const TrainingSetup& setup, TrainingMemory& memory) {
  const int64_t numbers = c.channels() * c.image_size() * c.image_size();
  memory.batch = setup.pairs * (numbers + 8 * (2 * setup.tokens + 2));
  memory.ahead = setup.batches_ahead * memory.batch;
  memory.pictures = 4 * setup.chunk() * numbers;
}

/// Steps of towers and loss, on tapes of their own.
struct Steps {
  std::vector<MemoryStep> image, text, loss;
};

Steps steps_of(const ModelConfig& c, const TrainingSetup& setup) {
  TrainingSetup part = setup;
  part.pairs = setup.chunk();
  MemoryTape image(part), text(part), loss(setup);
  image.weights_are(parameter_dtype(setup.types.precision));
  std::visit([&](const auto& vision) { image_tower_on(image, vision, c); }, c.vision);
  text.weights_are(text_dtype(setup.types));
  text_tower_on(text, c);
  loss_on(loss, c.embed_dim);
  return {image.steps(), text.steps(), loss.steps()};
}

int64_t kept(const std::vector<MemoryStep>& steps) {
  int64_t bytes = 0;
  for (const MemoryStep& step : steps) bytes += step.kept;
  return bytes;
}

MemoryPeak larger(const MemoryPeak& a, const MemoryPeak& b) { return a.all() < b.all() ? b : a; }

/// The whole batch at once: the towers' steps, then those of the loss.
MemoryPeak peak_of_whole(const Steps& steps, TrainingMemory& memory) {
  std::vector<MemoryStep> all = steps.image;
  all.insert(all.end(), steps.text.begin(), steps.text.end());
  all.insert(all.end(), steps.loss.begin(), steps.loss.end());
  memory.activations = kept(all);
  return larger(peak_of(all), {steps.image.front().kept, 0, memory.pictures});
}

/// In parts: the loss, then each tower on a part of the batch, while features and their gradients
/// wait and parameters collect theirs from part to part.
MemoryPeak peak_of_parts(const Steps& steps, TrainingMemory& memory) {
  memory.activations = std::max(kept(steps.image), kept(steps.text));
  MemoryPeak most = peak_of(steps.loss);
  int64_t collected = 0;
  for (std::vector<MemoryStep> tower : {steps.image, steps.text}) {
    for (MemoryStep& step : tower) collected += std::exchange(step.gradients, 0);
    MemoryPeak now = larger(peak_of(tower), {tower.front().kept, 0, memory.pictures});
    now.kept += memory.features;
    now.gradients = collected;
    most = larger(most, now);
  }
  return most;
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

// Features and their normalised forms, all f32. Of a batch of one tile, logits by rows and by
// columns beside the cosines; else, backward, gradients of the normalised ones before and after
// they are scaled, a tile, and its rows scaled.
void loss_on(MemoryTape& tape, int64_t E) {
  const int64_t features = tape.wide(tape.B * E), T = std::min(tape.B, kLossTile);
  const int64_t tile = tape.wide(T * T), rows = tape.wide(T * E);
  tape.add({2 * features, 0, 4 * features});
  if (tape.B <= kLossTile)
    tape.add({3 * tile, tape.wide(1), 3 * tile});
  else
    tape.add({0, tape.wide(1), 3 * features + tile + rows});
}

TrainingMemory training_memory(const ModelConfig& c, const TrainingSetup& setup) {
  const nn::ShapesOnly shapes_only;
  const Clip model(c);
  TrainingMemory memory;
  add_parameters(model.named_parameters(), setup, memory);
  add_batches(c, setup, memory);
  const Steps steps = steps_of(c, setup);
  const bool whole = setup.accum_freq == 1;
  if (!whole) memory.features = 4 * MemoryTape::wide(setup.pairs * c.embed_dim);
  MemoryPeak most = whole ? peak_of_whole(steps, memory) : peak_of_parts(steps, memory);
  if (memory.gradients > most.all()) most = {0, memory.gradients, 0};  // the optimizer's step
  memory.kept_then = most.kept;
  memory.gradients_then = most.gradients;
  memory.temporaries_then = most.temporaries;
  memory.peak = memory.state() + most.all();
  return memory;
}

}  // namespace diptych
