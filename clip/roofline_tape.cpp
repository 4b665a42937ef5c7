// clip/roofline_tape.cpp — kernels on paper; linear, layer norm and the residual block of them.
#include "clip/roofline_tape.h"

#include <algorithm>
#include <cmath>

namespace diptych {
namespace {

/// n rounded up to a tile, the smallest from 64 on that holds it or else the largest.
double in_tiles(int64_t n, int64_t largest) {
  int64_t tile = 64;
  while (tile < n && tile < largest) tile *= 2;
  return static_cast<double>((n + tile - 1) / tile * tile);
}

double busy(const ProductShape& s, int64_t processors) {
  const auto tiles = static_cast<double>((s.M + 127) / 128 * ((s.N + 255) / 256));
  const double waves = tiles / static_cast<double>(processors);
  return waves < 1 ? 0.85 : std::max(0.8, waves / std::ceil(waves));
}

/// Scores computed over scores needed, of T × T: our kernels work on tiles of 64 rows, or 32 or 16
/// where that is enough.
double padding_of(int64_t T) {
  const auto t = static_cast<double>(T);
  if (T <= 32) return (T > 16 ? 32 : 16) / t;
  return std::pow(std::ceil(t / 64) * 64 / t, 2);
}

/// The MLP: activations read and written, 2 e R I, and 4 e R I backward (x, g → f(x), g f'(x)); in
/// the products they move e R I more forward (x beside f(x)) and 2 e R I backward.
void mlp_on(PaperTape& tape, int64_t R, int64_t D, int64_t I) {
  const double inside = tape.e * times(R, I);
  const bool fused = tape.fused.activation;
  linear_on(tape, {R, D, I}, {.forward_bytes = fused ? inside : 0});
  linear_on(tape, {R, I, D}, {.residual = true, .gradient_bytes = fused ? 2 * inside : 0});
  if (fused) return;
  tape.pass(Family::activation, 2 * inside);
  tape.pass(Family::activation, 4 * inside);
}

/// Attention of R = B T rows: scores and weighted sums, 4 T² D FLOPs a sequence, half of it under a
/// causal mask; the backward pass takes twice that, and half as much for the scores again. q, k, v
/// are read and y written, 4 e R D; then q, k, v, y, g read and dq, dk, dv written, 8 e R D, of
/// which three kernels read five once more.
void attention_on(PaperTape& tape, const PaperTower& t) {
  const double rows = tape.e * times(t.B * t.T, t.config.width), padding = padding_of(t.T);
  const double flops = 4 * times(t.T, t.T, t.B * t.config.width) * (t.causal ? 0.5 : 1);
  tape.attend(Family::attention_forward,
              {flops, 1, padding, tape.device().attention_forward, 4 * rows, 1});
  tape.attend(Family::attention_backward,
              {2 * flops, 1.25, padding, tape.device().attention_backward,
               (tape.fused.one_reading ? 8 : 13) * rows, 3});
}

void block_on(PaperTape& tape, const PaperTower& t) {
  const int64_t R = t.B * t.T, D = t.config.width;
  norm_on(tape, R, D);
  linear_on(tape, {R, D, 3 * D});
  attention_on(tape, t);
  linear_on(tape, {R, D, D}, {.residual = true});
  norm_on(tape, R, D);
  mlp_on(tape, R, D, t.config.inside());
  for (int join = 0; join < 2; ++join)
    if (!tape.fused.joins) join_on(tape, times(R, D));
}

/// One row of each sequence is gathered, and alone gets a query, an MLP and a result; the others
/// have keys and values. Its gradient is scattered into zeros and joins that of the others. The two
/// parts of in_proj get gradients with zeros around them, which are added: 21 D² numbers move.
void last_block_on(PaperTape& tape, const PaperTower& t) {
  const int64_t B = t.B, R = B * t.T, D = t.config.width;
  tape.pass(Family::rows_and_pixels, 2 * tape.e * times(B, D));
  norm_on(tape, B, D);
  norm_on(tape, R, D);
  linear_on(tape, {B, D, D});
  linear_on(tape, {R, D, 2 * D});
  attention_pool_on(tape, R, D);
  linear_on(tape, {B, D, D}, {.residual = true});
  norm_on(tape, B, D);
  mlp_on(tape, B, D, t.config.inside());
  for (int join = 0; join < 2; ++join)
    if (!tape.fused.joins) join_on(tape, times(B, D));
  scatter_on(tape, B, R, D);
  join_on(tape, times(R, D));
  tape.pass(Family::rows_and_pixels, 21 * tape.gradient * times(D, D), 5);
}

}  // namespace

PaperTape::PaperTape(const PaperBatch& batch, const PaperDevice& device, const Fusions& f)
    : fused(f),
      B(batch.pairs),
      T(batch.tokens),
      e(static_cast<double>(size_of(compute_dtype(batch.precision)))),
      gradient(f.wide_gradients ? 4 : e),
      device_(device),
      half_(size_of(compute_dtype(batch.precision)) == 2) {}

void PaperTape::add(Family family, double flops, double bytes, double seconds, int64_t launches) {
  PaperWork& work = step_[family];
  work.launches += launches;
  work.flops += flops;
  work.bytes += bytes;
  work.seconds += seconds;
  PaperWork& gaps = step_[Family::gaps];
  gaps.launches += launches;
  gaps.seconds += static_cast<double>(launches) * device_.gap;
}

void PaperTape::product(Family family, const ProductShape& s, double bytes, bool wide) {
  const double flops = 2 * times(s.M, s.N, s.K), area = 2 * in_tiles(s.M, 128) * in_tiles(s.N, 256);
  const double computing = area * static_cast<double>(s.K) / (device_.product * peak(wide)),
               starting = area * device_.ramp / (device_.product * device_.peak16);
  const double seconds = (computing + starting) / busy(s, device_.processors);
  add(family, flops, bytes, std::max(seconds, bytes / device_.memory), 1);
  step_.model_flops += flops;
}

void PaperTape::attend(Family family, const Attention& a) {
  const double flops = a.again * a.model, seconds = flops * a.padding / (a.share * peak(false));
  add(family, flops, a.bytes, std::max(seconds, a.bytes / device_.memory), a.launches);
  step_.model_flops += a.model;
}

void PaperTape::pass(Family family, double bytes, int64_t launches) {
  add(family, 0, bytes, bytes / device_.memory, launches);
}

void PaperTape::fold(Family family, double bytes, int64_t launches) {
  add(family, 0, bytes, bytes / device_.reducing, launches);
}

void linear_on(PaperTape& tape, const LinearShape& l, const LinearEnd& end) {
  const double x = tape.e * times(l.R, l.K), y = tape.e * times(l.R, l.N), w = times(l.K, l.N);
  tape.product(Family::forward, {l.R, l.N, l.K},
               x + tape.e * w + (end.residual ? 2 : 1) * y + end.forward_bytes);
  tape.product(Family::input_gradients, {l.R, l.K, l.N}, x + tape.e * w + y + end.gradient_bytes);
  tape.product(Family::weight_gradients, {l.N, l.K, l.R}, x + y + tape.gradient * w);
  if (end.bias && !tape.fused.bias_gradients) tape.fold(Family::bias_gradients, y, 2);
}

void norm_on(PaperTape& tape, int64_t R, int64_t D, bool recomputed) {
  const double x = tape.e * times(R, D);
  tape.fold(Family::layer_norm, 2 * x);
  if (recomputed && !tape.fused.norms_kept) tape.fold(Family::layer_norm, 2 * x);
  const int passes = 3 + (tape.fused.joins ? 1 : 0) + (tape.fused.one_reading ? 0 : 2);
  tape.fold(Family::layer_norm, passes * x, 3);
}

void join_on(PaperTape& tape, double n) { tape.pass(Family::joins, 3 * tape.e * n); }

void scatter_on(PaperTape& tape, int64_t from, int64_t to, int64_t D) {
  constexpr int64_t kSorting = 8;  // of two digits of the index: cuda/groups.cu
  tape.fold(Family::rows_and_pixels, tape.e * times(from, D) + tape.e * times(to, D), 2 + kSorting);
}

void attention_pool_on(PaperTape& tape, int64_t R, int64_t D) {
  const double rows = tape.e * times(R, D), flops = 4 * times(R, D);
  const double share = tape.device().attention_forward;
  tape.attend(Family::attention_forward, {flops, 1, 1, share, 2 * rows, 1});
  tape.attend(Family::attention_backward, {2 * flops, 1, 1, share, 4 * rows, 1});
}

void tower_on(PaperTape& tape, const PaperTower& t) {
  const int64_t whole = t.config.layers - (t.pooled ? 1 : 0);
  for (int64_t i = 0; i < whole; ++i) block_on(tape, t);
  if (t.pooled && t.config.layers > 0) return last_block_on(tape, t);
  if (t.pooled) tape.pass(Family::rows_and_pixels, 2 * tape.e * times(t.B, t.config.width));
}

}  // namespace diptych
