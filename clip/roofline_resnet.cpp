// clip/roofline_resnet.cpp — the graph of the residual network in kernels on paper. A convolution
// is a product whose left factor is gathered on the way (implicit GEMM): 2 · places · out · taps ·
// in FLOPs on tiles like any other product, and its bytes are those of picture, weight and result.
#include "clip/roofline_tape.h"

namespace diptych {
namespace {

struct Conv {
  int64_t side, in, out, taps = 1, stride = 1;  ///< side: of the picture it reads
  bool input_gradient = true;
};

/// And the batch norm behind it, with or without ReLU: forward reads x twice (moments, then values)
/// and writes y, 3 passes; backward reads x and g twice and writes dx, 5.
void conv_on(PaperTape& tape, const Conv& c) {
  const int64_t before = tape.B * c.side * c.side, M = before / (c.stride * c.stride);
  const double w = times(c.taps, c.in, c.out);
  const double x = tape.e * times(before, c.in), y = tape.e * times(M, c.out);
  tape.product(Family::forward, {M, c.out, c.taps * c.in}, x + y + tape.e * w);
  if (c.input_gradient)
    tape.product(Family::input_gradients, {before, c.in, c.taps * c.out}, x + y + tape.e * w);
  tape.product(Family::weight_gradients, {c.out, c.taps * c.in, M}, x + y + tape.gradient * w);
  tape.fold(Family::batch_norm, 3 * y, 4);
  tape.fold(Family::batch_norm, 5 * y, 3);
}

/// Means of 2 × 2: x is read and a quarter of it written, backward the reverse.
void halve_on(PaperTape& tape, int64_t side, int64_t channels) {
  tape.pass(Family::rows_and_pixels, 2.5 * tape.e * times(tape.B, side * side, channels), 2);
}

/// Shortcut and branch are added, 3 passes over the result, and go through a ReLU, 2, whose
/// gradient takes 3; in front of the block their gradients join.
void bottleneck_on(PaperTape& tape, int64_t side, int64_t stride, int64_t in, int64_t inside) {
  const int64_t after = side / stride, out = 4 * inside;
  conv_on(tape, {side, in, inside});
  conv_on(tape, {side, inside, inside, 9});
  if (stride > 1) halve_on(tape, side, inside);
  conv_on(tape, {after, inside, out});
  if (stride > 1) halve_on(tape, side, in);
  if (stride > 1 || in != out) conv_on(tape, {after, in, out});
  tape.pass(Family::activation, 8 * tape.e * times(tape.B, after * after, out), 3);
  join_on(tape, times(tape.B, side * side, in));
}

/// The stem halves the picture twice: by the stride of its first convolution, by means at its end.
void stem_on(PaperTape& tape, int64_t R, int64_t channels, int64_t w) {
  conv_on(tape, {R, channels, w / 2, 9, 2, /*input_gradient=*/false});
  conv_on(tape, {R / 2, w / 2, w / 2, 9});
  conv_on(tape, {R / 2, w / 2, w, 9});
  halve_on(tape, R / 2, w);
}

/// T tokens, the mean of the pixels and the pixels: the mean reads and writes them, they are put
/// behind one another and positions are added, 5 passes; keys and values are put side by side, 4.
/// Backward: positions are summed, what was put together is taken apart, the gradients of k, v, q
/// and mean join.
void pool_on(PaperTape& tape, int64_t pixels, int64_t D, int64_t E) {
  const int64_t R = tape.B * (pixels + 1);
  const double x = tape.e * times(R, D);
  tape.pass(Family::rows_and_pixels, 5 * x, 5);
  linear_on(tape, {tape.B, D, D});
  linear_on(tape, {R, D, D});
  linear_on(tape, {R, D, D});
  tape.pass(Family::rows_and_pixels, 4 * x, 2);
  attention_pool_on(tape, R, D);
  linear_on(tape, {tape.B, D, E});
  tape.pass(Family::rows_and_pixels, 4 * x, 2);
  tape.pass(Family::rows_and_pixels, 2 * x, 2);
  for (int join = 0; join < 3; ++join) join_on(tape, times(R, D));
  tape.fold(Family::rows_and_pixels, x, 2);
  tape.pass(Family::rows_and_pixels, 2 * x, 2);
}

}  // namespace

void image_tower_on(PaperTape& tape, const nn::ResNetConfig& r, const ModelConfig& c) {
  const int64_t R = c.image_size();
  const double pixels = times(tape.B, c.channels(), R * R);
  tape.pass(Family::rows_and_pixels, 5 * pixels);
  tape.pass(Family::rows_and_pixels, (4 + tape.e) * pixels);
  stem_on(tape, R, c.channels(), r.width);
  int64_t side = R / 4, in = r.width;
  for (size_t stage = 0; stage < r.layers.size(); ++stage) {
    for (int64_t i = 0; i < r.layers[stage]; ++i) {
      const int64_t stride = stage > 0 && i == 0 ? 2 : 1, inside = r.width << stage;
      bottleneck_on(tape, side, stride, in, inside);
      side /= stride;
      in = 4 * inside;
    }
  }
  pool_on(tape, side * side, r.features(), c.embed_dim);
}

}  // namespace diptych
