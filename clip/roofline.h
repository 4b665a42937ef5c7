// clip/roofline.h — a training step on paper: FLOPs, bytes, launches and the least time on a GPU.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "clip/config.h"
#include "clip/precision.h"

namespace diptych {

/// What a device is assumed to do. Data sheet: peaks. Everything else is an assumption that a day
/// on the device replaces.
struct PaperDevice {
  std::string name, what;
  double peak16 = 0, peak32 = 0;  ///< FLOP/s of dense products: 16-bit types, f32 without TF32
  double product = 0;             ///< share of the peak that a product over a long K reaches
  double attention_forward = 0, attention_backward = 0;  ///< shares of the peak
  double memory = 0, reducing = 0;                       ///< bytes/s; of kernels that reduce
  double gap = 0;                                        ///< seconds between two kernels
  int64_t processors = 0;                                ///< which work on tiles of a product
  double ramp = 0;  ///< steps of K, at 16 bits, that filling and emptying a tile takes

  double peak_of(Precision p) const { return compute_dtype(p) == DType::f32 ? peak32 : peak16; }
};

std::vector<std::string> paper_devices();
/// Throws Error, listing the known names, for any other.
const PaperDevice& paper_device(const std::string& name);

/// What a step spends its time on, in the order of a table.
enum class Family : uint8_t {
  forward,
  input_gradients,
  weight_gradients,
  activation,
  layer_norm,
  batch_norm,
  bias_gradients,
  attention_forward,
  attention_backward,
  joins,
  rows_and_pixels,
  loss,
  gradient_norm,
  adamw,
  casts,
  gaps,
};
inline constexpr size_t kFamilies = 16;
const char* name(Family);

/// What needs no pass over memory of its own.
struct Fusions {
  bool bias_gradients = false;  ///< ride on the products of the weight gradients
  bool copies = false;          ///< AdamW writes the 16-bit weights that products read
  bool wide_gradients = false;  ///< products write gradients of weights in f32
  bool activation = false;      ///< in the products, both ways
  bool norms_kept = false;      ///< normalised rows are kept instead of computed again
  bool joins = false;           ///< gradients of the residual stream are added by layer norm's
  /// Gradients of attention and of layer norm read their operands once, as all floors have it; the
  /// kernels of cuda/ read some of them again.
  bool one_reading = true;
};

struct PaperWork {
  int64_t launches = 0;
  double flops = 0, bytes = 0, seconds = 0;
};

struct PaperStep {
  std::array<PaperWork, kFamilies> families;
  double model_flops = 0;  ///< of the real tokens, without what is computed twice

  PaperWork& operator[](Family f) { return families[static_cast<size_t>(f)]; }
  const PaperWork& operator[](Family f) const { return families[static_cast<size_t>(f)]; }
  PaperWork total() const;
  double share_of(double peak) const;  ///< "MFU": model_flops over what that peak could do
};

/// What is worked through at a time.
struct PaperBatch {
  int64_t pairs = 0;   ///< B
  int64_t tokens = 0;  ///< of each caption
  Precision precision = Precision::fp32;
};

/// One step of the project's graph: forward, loss, backward, gradient norm, AdamW.
PaperStep paper_step(const ModelConfig&, const PaperBatch&, const PaperDevice&, const Fusions&);

/// The step with one fusion more than in the line before.
struct PaperStage {
  std::string fusion;
  bool built = false;  ///< in cuda/ today
  PaperStep step;
};

/// First nothing fused, then what is built, then the rest, each by what it gains.
std::vector<PaperStage> paper_stages(const ModelConfig&, const PaperBatch&, const PaperDevice&);
/// Of these: the last one that is built.
const PaperStage& built_stage(const std::vector<PaperStage>&);
/// That, as the kernels are written today.
PaperStep step_as_written(const ModelConfig&, const PaperBatch&, const PaperDevice&);

/// What all the numbers rest on, a line each.
std::vector<std::string> paper_assumptions(const PaperDevice&, Precision);

}  // namespace diptych
