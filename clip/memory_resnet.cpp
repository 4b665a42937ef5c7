// clip/memory_resnet.cpp — what the operators of the residual network keep for the backward pass.
#include "clip/memory_tape.h"

namespace diptych {
namespace {

struct Conv {
  int64_t side, in, out, taps = 1, stride = 1;  ///< side: of the picture it reads
  bool keeps_input = true;
  int64_t waiting = 0;  ///< bytes of gradients that others wait for
};

/// A convolution and the batch norm behind it, which keeps the convolution's result. More than one
/// tap: the weight is kept with its channels last, and so comes its gradient.
void conv_on(MemoryTape& tape, const Conv& c) {
  const int64_t x = tape.flowing(tape.B * c.side * c.side * c.in), w = c.taps * c.in * c.out,
                y = tape.flowing(tape.B * c.side * c.side / (c.stride * c.stride) * c.out);
  const int64_t turned = c.taps > 1 ? tape.flowing(w) : 0;
  const int64_t kept = (c.keeps_input ? x : 0) + turned;
  tape.add(product_step(tape, c.out, c.taps * c.in, false, kept,
                        x + y + turned + c.waiting + tape.narrow(w)));
  tape.add({y + 2 * tape.wide(c.out), 2 * tape.wide(c.out), 2 * y + c.waiting});
}

struct Block {
  int64_t side, stride, in, inside;
};

/// Means of 2 × 2 keep nothing, what they read is let go, what they give is kept by who reads it.
/// Backward, the shortcut goes first: meanwhile the branch's gradient waits, then x's.
void bottleneck_on(MemoryTape& tape, const Block& b) {
  const int64_t after = b.side / b.stride, out = 4 * b.inside;
  const int64_t x = tape.flowing(tape.B * b.side * b.side * b.in),
                y = tape.flowing(tape.B * after * after * out);
  conv_on(tape, {b.side, b.in, b.inside, 1, 1, false, x});
  conv_on(tape, {b.side, b.inside, b.inside, 9, 1, true, x});
  conv_on(tape, {after, b.inside, out, 1, 1, true, x});
  if (b.stride > 1 || b.in != out) conv_on(tape, {after, b.in, out, 1, 1, b.stride > 1, y});
  tape.add({0, 0, 2 * y});
}

/// Tokens are kept once for keys and values, and again as these lie side by side. Backward: their
/// gradient, taken apart, and that of the tokens, from three sides.
void pool_on(MemoryTape& tape, int64_t pixels, int64_t D, int64_t E, int64_t H) {
  const int64_t B = tape.B, R = B * (pixels + 1);
  const int64_t x = tape.flowing(R * D), kv = tape.flowing(2 * R * D), row = tape.flowing(B * D);
  tape.add({tape.flowing(B * pixels * D), tape.wide((pixels + 1) * D), 3 * x});
  tape.add(product_step(tape, D, D, true, row, 3 * row + x));
  tape.add(product_step(tape, D, D, true, x, kv + 3 * x));
  tape.add(product_step(tape, D, D, true, 0, kv + 3 * x));
  tape.add({kv + row + tape.wide(B * H), 0, kv + 2 * row});
  tape.add(product_step(tape, E, D, true, row, 2 * row));
}

void stem_on(MemoryTape& tape, int64_t R, int64_t channels, int64_t w) {
  conv_on(tape, {R, channels, w / 2, 9, 2});
  conv_on(tape, {R / 2, w / 2, w / 2, 9});
  conv_on(tape, {R / 2, w / 2, w, 9});
}

}  // namespace

void image_tower_on(MemoryTape& tape, const nn::ResNetConfig& r, const ModelConfig& c) {
  stem_on(tape, c.image_size(), c.channels(), r.width);
  int64_t side = c.image_size() / 4, in = r.width;
  for (size_t stage = 0; stage < r.layers.size(); ++stage) {
    for (int64_t i = 0; i < r.layers[stage]; ++i) {
      const Block b{side, stage > 0 && i == 0 ? 2 : 1, in, r.width << stage};
      const int64_t after = side / b.stride;
      tape.block(tape.flowing(tape.B * side * side * in),
                 tape.flowing(tape.B * after * after * 4 * b.inside),
                 [&] { bottleneck_on(tape, b); });
      side = after;
      in = 4 * b.inside;
    }
  }
  pool_on(tape, side * side, r.features(), c.embed_dim, r.heads);
}

}  // namespace diptych
