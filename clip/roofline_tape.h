// clip/roofline_tape.h — how one kernel becomes FLOPs, bytes and seconds, and pieces of all towers.
#pragma once

#include "clip/roofline.h"

namespace diptych {

/// a · b [· c], exact up to 2⁵³.
inline double times(int64_t a, int64_t b, int64_t c = 1) {
  return static_cast<double>(a) * static_cast<double>(b) * static_cast<double>(c);
}

/// (M, K) times (K, N).
struct ProductShape {
  int64_t M, N, K;
};

/// Adds up a step, kernel by kernel.
class PaperTape {
 public:
  PaperTape(const PaperBatch&, const PaperDevice&, const Fusions&);

  const Fusions fused;
  const int64_t B, T;     ///< pairs, tokens of each caption
  const double e;         ///< bytes of an element that flows between layers
  const double gradient;  ///< bytes of a parameter's gradient as a product writes it

  /// 2 M N K FLOPs on tiles, that move `bytes`; `wide`: in f32 whatever the precision. Seconds: the
  /// larger of bytes / memory and
  ///   (2 M' N' K / (product peak) + 2 M' N' ramp / (product peak16)) / busy
  /// M', N' rounded up to tiles of 128 × 256, or halves of that, down to 64, where one is enough;
  /// busy: the share of full waves of tiles, at least 0.8 since schedules split the last one, and
  /// 0.85 where there are fewer tiles than processors and K is split.
  void product(Family, const ProductShape&, double bytes, bool wide = false);
  /// Attention: `model` FLOPs of the real tokens, of which the kernel computes `again` times as
  /// many, on `padding` times as many scores; or its bytes take longer.
  struct Attention {
    double model, again, padding, share, bytes;
    int64_t launches;
  };
  void attend(Family, const Attention&);
  /// Bytes at the rate of memory, or at that of kernels that reduce.
  void pass(Family, double bytes, int64_t launches = 1);
  void fold(Family, double bytes, int64_t launches = 1);

  const PaperDevice& device() const { return device_; }
  const PaperStep& step() const { return step_; }

 private:
  void add(Family, double flops, double bytes, double seconds, int64_t launches);
  double peak(bool wide) const { return half_ && !wide ? device_.peak16 : device_.peak32; }

  const PaperDevice device_;
  const bool half_;
  PaperStep step_;
};

/// y = x wᵀ (+ b + residual): x (R, K), w (N, K). Forward e (R K + N K + R N), and e R N for a
/// residual; dx the same without; dw e (R K + R N) + gradient N K; a bias's gradient, unless it
/// rides on dw, e R N.
struct LinearShape {
  int64_t R, K, N;
};
struct LinearEnd {
  bool bias = true, residual = false;
  double forward_bytes = 0, gradient_bytes = 0;  ///< moved by what rides on y and on dx
};
void linear_on(PaperTape&, const LinearShape&, const LinearEnd& = {});

/// x (R, D) is read and written: 2 e R D, and again if recomputed; backward reads x, g and writes
/// dx, 3 e R D, a fourth where it also adds another gradient, and x and g once more for the sums
/// over rows unless one_reading.
void norm_on(PaperTape&, int64_t R, int64_t D, bool recomputed = true);

/// Two gradients of a tensor of n elements are added: 3 e n.
void join_on(PaperTape&, double n);

/// `from` rows of D are summed into `to` rows, most of them zeros: e D (from + to).
void scatter_on(PaperTape&, int64_t from, int64_t to, int64_t D);

/// One query per sequence: q (B, D), kv (R, 2 D). 4 R D FLOPs, backward twice that. Forward reads
/// kv, 2 e R D, backward reads it again and writes its gradient.
void attention_pool_on(PaperTape&, int64_t R, int64_t D);

/// A tower of blocks over B sequences of T tokens, without what stands around it.
struct PaperTower {
  nn::TowerConfig config;
  int64_t B, T;
  bool causal, pooled;  ///< pooled: the last block computes one row of each sequence
};
void tower_on(PaperTape&, const PaperTower&);

/// Forward and backward passes of the image towers, from pixels to features.
void image_tower_on(PaperTape&, const nn::VitConfig&, const ModelConfig&);
void image_tower_on(PaperTape&, const nn::ResNetConfig&, const ModelConfig&);
/// And of the text tower.
void text_tower_on(PaperTape&, const ModelConfig&);

}  // namespace diptych
