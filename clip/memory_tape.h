// clip/memory_tape.h — the backward pass as a list of what each operator keeps, needs and leaves.
#pragma once

#include <vector>

#include "clip/memory.h"

namespace diptych {

/// An operator, in bytes.
struct MemoryStep {
  int64_t kept = 0;         ///< saved for its gradient, let go when that is computed
  int64_t gradients = 0;    ///< of parameters, there from then on
  int64_t temporaries = 0;  ///< while its gradient is computed: what arrives, leaves and waits
};

/// What a backward pass over such steps, the last one first, has in use when that is most.
struct MemoryPeak {
  int64_t kept = 0, gradients = 0, temporaries = 0;
  int64_t all() const { return kept + gradients + temporaries; }
};
MemoryPeak peak_of(const std::vector<MemoryStep>&);

/// Steps in the order of the forward pass.
class MemoryTape {
 public:
  explicit MemoryTape(const TrainingSetup&);

  const TrainingSetup setup;
  const int64_t B;

  /// Bytes of n elements of the type that flows between layers, of f32, of i64.
  int64_t flowing(int64_t n) const { return size_of(compute_) * n; }
  static int64_t wide(int64_t n) { return 4 * n; }
  static int64_t indices(int64_t n) { return 8 * n; }
  /// Of a weight as a product reads it, if that is a copy made for this step: kept parameters are
  /// narrower than what flows, or of another 16-bit type.
  int64_t cast(int64_t n) const { return casts_ ? flowing(n) : 0; }
  /// Of a weight's gradient as a product leaves it, if it is not f32 and becomes so afterwards.
  int64_t narrow(int64_t n) const { return compute_ == DType::f32 ? 0 : flowing(n); }

  void weights_are(DType kept) { casts_ = kept != compute_ && size_of(kept) <= size_of(compute_); }
  void add(const MemoryStep& step) { steps_.push_back(step); }
  /// The steps of a block, which f adds; its input takes x bytes and is kept, its result y. With
  /// checkpointing it is one step that keeps nothing else; the insides, and the result a second
  /// time, are there while its gradient is computed.
  template <class F>
  void block(int64_t x, int64_t y, const F& f) {
    std::vector<MemoryStep> outside = std::move(steps_);
    steps_.clear();
    f();
    std::swap(outside, steps_);
    append(x, y, outside);
  }

  const std::vector<MemoryStep>& steps() const { return steps_; }

 private:
  void append(int64_t x, int64_t y, std::vector<MemoryStep> inside);

  const DType compute_;
  bool casts_ = false;
  std::vector<MemoryStep> steps_;
};

/// Of y = x w (+ b): w (N, K). `kept`: x, unless an earlier step keeps it; `flows`: what arrives,
/// leaves and waits, beside the weight's own gradient.
MemoryStep product_step(const MemoryTape&, int64_t N, int64_t K, bool bias, int64_t kept,
                        int64_t flows);

/// The towers, from pictures or tokens to features.
void image_tower_on(MemoryTape&, const nn::VitConfig&, const ModelConfig&);
void image_tower_on(MemoryTape&, const nn::ResNetConfig&, const ModelConfig&);
void text_tower_on(MemoryTape&, const ModelConfig&);
/// From features (B, E) to the loss.
void loss_on(MemoryTape&, int64_t E);

}  // namespace diptych
