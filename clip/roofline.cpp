// clip/roofline.cpp — devices, loss and optimizer on paper, and what each fusion gains.
//
// How the numbers come about: clip/roofline_tape.h has the formulas of products, norms and
// attention, clip/roofline_towers.cpp and clip/roofline_resnet.cpp those of the graphs.
#include "clip/roofline.h"

#include <fmt/core.h>

#include <algorithm>

#include "clip/model.h"
#include "clip/roofline_tape.h"

namespace diptych {
namespace {

// Peaks: NVIDIA's data sheet of the H100 SXM, without sparsity. Of such a card others report 798
// TFLOP/s for 8192³ on random data, copies at 3.0 TB/s, FlashAttention-2 at 35 % (arXiv
// 2407.08608).
const PaperDevice kDevices[] = {{.name = "h100",
                                 .what = "NVIDIA H100 SXM",
                                 .peak16 = 989e12,
                                 .peak32 = 67e12,
                                 .product = 790.0 / 989,
                                 .attention_forward = 300.0 / 989,
                                 .attention_backward = 220.0 / 989,
                                 .memory = 3.0e12,
                                 .reducing = 2.7e12,
                                 .gap = 1.5e-6,
                                 .processors = 132,
                                 .ramp = 160}};

struct Fusion {
  const char* name;
  bool Fusions::*on;
  bool built;
};
constexpr Fusion kFusions[] = {
    {"bias gradients ride on the weight gradients' products", &Fusions::bias_gradients, true},
    {"16-bit weights written by AdamW", &Fusions::copies, true},
    {"gradients of weights written in f32 by their products", &Fusions::wide_gradients, true},
    {"activations in the products, both ways", &Fusions::activation, false},
    {"normalised rows kept, not computed again", &Fusions::norms_kept, false},
    {"gradients of the residual stream joined in layer norm", &Fusions::joins, false},
};

/// In f32: casts of features (B, E) and back, normalised and back, text turned, logits (B, B) as
/// read and written by the two products of their matrix and by
///   scale 2, cross entropies of rows and, turned first, columns 4, their gradients 4, turned back
///   and joined 5, through the scale 6
void loss_on(PaperTape& tape, int64_t E) {
  const int64_t B = tape.B;
  const double features = times(B, E), logits = times(B, B);
  const double casts = tape.e < 4 ? 2 * 2 * (4 + tape.e) * features : 0;
  tape.fold(Family::loss, casts + (2 * 4 * 2 + 2 * 4 * 3 + 2 * 4) * features + 21 * 4 * logits, 42);
  const double bytes = 4 * (2 * features + logits);
  tape.product(Family::forward, {B, B, E}, bytes, /*wide=*/true);
  tape.product(Family::input_gradients, {B, E, B}, bytes, /*wide=*/true);
  tape.product(Family::input_gradients, {B, E, B}, bytes, /*wide=*/true);
}

/// Per parameter: its gradient is read, 4, for the norm; AdamW reads it again and reads and writes
/// both moments, 20, and the parameter, 8 or 4, and writes the 16-bit copy, 2. Else that is a cast,
/// 6, tensor by tensor, as is that of 16-bit gradients to f32.
void optimizer_on(PaperTape& tape, const ModelConfig& config, Precision precision) {
  const nn::ShapesOnly shapes_only;
  const Clip model(config);
  const auto P = static_cast<double>(model.parameter_count());
  const auto tensors = static_cast<int64_t>(model.parameters().size());
  const bool half = compute_dtype(precision) != DType::f32;
  const bool masters = half && parameter_dtype(precision) == DType::f32;
  if (masters && !tape.fused.copies) tape.pass(Family::casts, 6 * P, tensors);
  if (half && !tape.fused.wide_gradients) tape.pass(Family::casts, 6 * P, tensors);
  tape.fold(Family::gradient_norm, 4 * P, 2);
  const auto each = static_cast<double>(2 * size_of(parameter_dtype(precision)));
  tape.pass(Family::adamw, (20 + each + (masters && tape.fused.copies ? 2 : 0)) * P);
}

PaperStage with(const Fusion& fusion, Fusions& fusions, const auto& step_of) {
  fusions.*fusion.on = true;
  return {fusion.name, fusion.built, step_of(fusions)};
}

}  // namespace

std::vector<std::string> paper_devices() {
  std::vector<std::string> names;
  for (const PaperDevice& device : kDevices) names.push_back(device.name);
  return names;
}

const PaperDevice& paper_device(const std::string& name) {
  std::string known;
  for (const PaperDevice& device : kDevices) {
    if (device.name == name) return device;
    known += (known.empty() ? "" : ", ") + device.name;
  }
  fail("paper: nothing is known about the device '", name, "'; known: ", known);
}

const char* name(Family f) {
  constexpr const char* kNames[kFamilies] = {"products forward",
                                             "products, input gradients",
                                             "products, weight gradients",
                                             "activations",
                                             "layer norm",
                                             "batch norm",
                                             "bias gradients",
                                             "attention forward",
                                             "attention backward",
                                             "gradients joined",
                                             "rows and pixels",
                                             "loss",
                                             "gradient norm",
                                             "AdamW",
                                             "casts",
                                             "gaps"};
  return kNames[static_cast<size_t>(f)];
}

PaperWork PaperStep::total() const {
  PaperWork sum{.launches = (*this)[Family::gaps].launches};
  for (const PaperWork& work : families) {
    sum.flops += work.flops;
    sum.bytes += work.bytes;
    sum.seconds += work.seconds;
  }
  return sum;
}

double PaperStep::share_of(double peak) const { return model_flops / (total().seconds * peak); }

PaperStep paper_step(const ModelConfig& c, const PaperBatch& batch, const PaperDevice& device,
                     const Fusions& fusions) {
  PaperTape tape(batch, device, fusions);
  std::visit([&](const auto& vision) { image_tower_on(tape, vision, c); }, c.vision);
  text_tower_on(tape, c);
  loss_on(tape, c.embed_dim);
  optimizer_on(tape, c, batch.precision);
  return tape.step();
}

std::vector<PaperStage> paper_stages(const ModelConfig& c, const PaperBatch& batch,
                                     const PaperDevice& device) {
  const auto step_of = [&](const Fusions& f) { return paper_step(c, batch, device, f); };
  Fusions fused;
  std::vector<PaperStage> stages{{"every operator by itself", true, step_of(fused)}};
  std::vector<Fusion> left(std::begin(kFusions), std::end(kFusions));
  while (!left.empty()) {
    // What is built comes first, then what gains most beside what is there.
    const auto rank = [&](const Fusion& f) {
      Fusions more = fused;
      return std::pair(!f.built, with(f, more, step_of).step.total().seconds);
    };
    const auto best = std::min_element(
        left.begin(), left.end(), [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
    const double before = stages.back().step.total().seconds;
    PaperStage stage = with(*best, fused, step_of);
    if (stage.step.total().seconds < before) stages.push_back(std::move(stage));
    left.erase(best);
  }
  return stages;
}

const PaperStage& built_stage(const std::vector<PaperStage>& stages) {
  return *std::find_if(stages.rbegin(), stages.rend(), [](const auto& s) { return s.built; });
}

PaperStep step_as_written(const ModelConfig& c, const PaperBatch& batch,
                          const PaperDevice& device) {
  Fusions fused{.one_reading = false};
  for (const Fusion& f : kFusions) fused.*f.on = f.built;
  return paper_step(c, batch, device, fused);
}

std::vector<std::string> paper_assumptions(const PaperDevice& d, Precision p) {
  const bool half = compute_dtype(p) != DType::f32;
  const double peak = d.peak_of(p) / 1e12;
  return {
      half ? fmt::format("{}: {:g} TFLOP/s of dense 16-bit products (data sheet)", d.what, peak)
           : fmt::format("{}: {:g} TFLOP/s of multiply-adds in f32 (data sheet); no TF32", d.what,
                         peak),
      fmt::format("products: {:.0f} TFLOP/s over a long K, {:g} steps of K at 16 bits to fill and "
                  "empty a tile; tiles of 128 x 256 on {} processors, the last wave at least 80 % "
                  "full, 85 % busy where K is split; never faster than their bytes",
                  d.product * peak, d.ramp, d.processors),
      "convolutions: such products, their left side gathered on the way (implicit GEMM)",
      fmt::format("memory: {:.1f} TB/s, {:.1f} in kernels that reduce; every kernel reads its "
                  "operands and writes its results once",
                  d.memory / 1e12, d.reducing / 1e12),
      fmt::format("attention: {:.0f} TFLOP/s forward, {:.0f} backward, on tiles padded to 64 rows; "
                  "never faster than its bytes",
                  d.attention_forward * peak, d.attention_backward * peak),
      fmt::format("{:g} us between two kernels; nobody waits for the host, bytes of pictures are "
                  "uploaded beside the work",
                  1e6 * d.gap),
      "cosines and loss in f32; parameters, moments and gradients of parameters in f32 too, but "
      "for parameters under pure_bf16"};
}

}  // namespace diptych
