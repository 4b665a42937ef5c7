// clip/roofline_towers.cpp — the graphs of the towers, forward and backward, in kernels on paper.
#include "clip/roofline_tape.h"

namespace diptych {
namespace {

/// y = x w, the projection to features: x (B, D), w (D, E).
void project_on(PaperTape& tape, int64_t D, int64_t E) {
  linear_on(tape, {tape.B, D, E}, {.bias = false});
}

/// Bytes of pictures become numbers, 1 + 4 bytes each, and those patches, 4 + e.
void pixels_on(PaperTape& tape, double n) {
  tape.pass(Family::rows_and_pixels, 5 * n);
  tape.pass(Family::rows_and_pixels, (4 + tape.e) * n);
}

/// The product with the patches, whose own gradient nobody needs; class token and patches behind
/// one another, 2 e B n D; positions, 2 e B T D. Backward: the sums over positions read e B T D,
/// and the patches' gradients are copied out, 2 e B n D.
void embed_on(PaperTape& tape, int64_t n, int64_t D, int64_t K) {
  const int64_t R = tape.B * n;
  const double patches = tape.e * times(R, D), tokens = tape.e * times(tape.B, n + 1, D);
  const double x = tape.e * times(R, K), w = times(K, D);
  tape.product(Family::forward, {R, D, K}, x + tape.e * w + patches);
  tape.product(Family::weight_gradients, {D, K, R}, x + tape.gradient * w + patches);
  tape.pass(Family::rows_and_pixels, 2 * patches, 2);
  tape.pass(Family::rows_and_pixels, 2 * tokens);
  tape.fold(Family::rows_and_pixels, tokens, 2);
  tape.pass(Family::rows_and_pixels, 2 * patches, 2);
}

}  // namespace

void image_tower_on(PaperTape& tape, const nn::VitConfig& v, const ModelConfig& c) {
  const int64_t side = c.image_size() / v.patch_size, n = side * side, D = v.transformer.width;
  const bool token = v.pooling == nn::VisionPooling::token;
  pixels_on(tape, times(tape.B, c.channels(), c.image_size() * c.image_size()));
  embed_on(tape, n, D, c.channels() * v.patch_size * v.patch_size);
  if (v.pre_norm) norm_on(tape, tape.B * (n + 1), D, /*recomputed=*/false);
  tower_on(tape, {v.transformer, tape.B, n + 1, /*causal=*/false, token});
  // The mean of the patches reads them; its gradient is written to all of them, beside zeros.
  if (!token) tape.fold(Family::rows_and_pixels, 3 * tape.e * times(tape.B, n, D), 4);
  const bool norm_all = !token && !v.norm_after_pooling;
  norm_on(tape, norm_all ? tape.B * (n + 1) : tape.B, D, /*recomputed=*/false);
  project_on(tape, D, c.embed_dim);
}

// Rows of two tables are gathered and added, 7 e R D; their gradients are summed into the tables.
void text_tower_on(PaperTape& tape, const ModelConfig& c) {
  const nn::TextConfig& text = c.text;
  const bool packed = text.ends_where_read();
  const int64_t T = packed ? tape.T : text.context_length, R = tape.B * T,
                D = text.transformer.width;
  if (text.type == nn::TextType::cbow) {  // gathered, summed; the gradient's way back
    tape.pass(Family::rows_and_pixels, 6 * tape.e * times(R, D), 4);
    scatter_on(tape, R, text.vocab_size, D);
  } else {
    tape.pass(Family::rows_and_pixels, 7 * tape.e * times(R, D), 3);
    scatter_on(tape, R, text.vocab_size, D);
    scatter_on(tape, R, text.context_length, D);
    tower_on(tape, {text.transformer, tape.B, T, text.causal, packed});
  }
  if (!packed) {
    tape.pass(Family::rows_and_pixels, 2 * tape.e * times(tape.B, D));
    scatter_on(tape, tape.B, R, D);
  }
  norm_on(tape, tape.B, D, /*recomputed=*/false);
  project_on(tape, D, c.embed_dim);
}

}  // namespace diptych
