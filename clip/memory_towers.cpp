// clip/memory_towers.cpp — what the operators of the towers keep for the backward pass (`Saved` in
// autograd/ops), and what stands beside it while they run. R rows of width D, I inside the MLP.
#include "clip/memory_tape.h"

namespace diptych {
namespace {

struct Rows {
  int64_t R, D, I, H;
};

/// x + c_proj(f(c_fc(norm(x)))), which keeps x and what f gets. Backward, c_proj: g, f(x) and its
/// gradient; c_fc: the gradient of what f got, the residual's, the norm again, its gradient and
/// x's.
void mlp_on(MemoryTape& tape, const Rows& r) {
  const int64_t outside = tape.flowing(r.R * r.D), inside = tape.flowing(r.R * r.I);
  MemoryStep fc = product_step(tape, r.I, r.D, true, outside, 4 * outside + inside);
  fc.gradients += 2 * tape.wide(r.D);
  tape.add(fc);
  tape.add(product_step(tape, r.D, r.I, true, inside, outside + 2 * inside));
}

/// A block after its input: q, k, v, which attention keeps with its result and the logarithms of
/// its sums. Backward, out_proj: g and its input's gradient; attention: the residual's gradient, g,
/// those of q, k, v; in_proj: the residual's, those, the norm again, its gradient and x's.
void block_on(MemoryTape& tape, const Rows& r) {
  const int64_t x = tape.flowing(r.R * r.D), qkv = tape.flowing(3 * r.R * r.D);
  MemoryStep in_proj = product_step(tape, 3 * r.D, r.D, true, 0, 4 * x + qkv);
  in_proj.gradients += 2 * tape.wide(r.D);
  tape.add(in_proj);
  tape.add({qkv + x + tape.wide(r.H * r.R), 0, 2 * x + qkv});
  tape.add(product_step(tape, r.D, r.D, true, 0, 2 * x));
  mlp_on(tape, r);
}

/// The last block after its input, of which B rows are gathered. Backward, keys and values: their
/// gradient, the norm again, its gradient and x's; the rows gathered: x's gradient and theirs among
/// zeros. in_proj's gradient comes in two parts with zeros around them.
void last_block_on(MemoryTape& tape, const Rows& r) {
  const int64_t x = tape.flowing(r.R * r.D), kv = tape.flowing(2 * r.R * r.D),
                row = tape.flowing(tape.B * r.D), part = tape.flowing(3 * r.D * r.D);
  tape.add({row, 2 * tape.wide(r.D), 2 * x});
  tape.add({0, 0, x + 5 * row + 2 * part});
  MemoryStep in_proj = product_step(tape, 3 * r.D, r.D, true, 0, 3 * x + kv + row);
  tape.add(in_proj);
  tape.add({kv + 2 * row + tape.wide(tape.B * r.H), 0, kv + 3 * row});
  tape.add(product_step(tape, r.D, r.D, true, 0, 2 * row));
  mlp_on(tape, {tape.B, r.D, r.I, r.H});
}

/// B sequences of T rows.
void tower_on(MemoryTape& tape, const nn::TowerConfig& c, int64_t T, bool pooled) {
  const Rows rows{tape.B * T, c.width, c.inside(), c.heads};
  const int64_t x = tape.flowing(rows.R * rows.D), row = tape.flowing(tape.B * rows.D);
  for (int64_t i = 0; i < c.layers - (pooled ? 1 : 0); ++i)
    tape.block(x, x, [&] { block_on(tape, rows); });
  if (pooled && c.layers > 0) tape.block(x, row, [&] { last_block_on(tape, rows); });
}

/// A norm of R rows that keeps them; backward: g and x's gradient.
void norm_on(MemoryTape& tape, int64_t R, int64_t D) {
  const int64_t x = tape.flowing(R * D);
  tape.add({x + 2 * tape.wide(R), 2 * tape.wide(D), 2 * x});
}

void project_on(MemoryTape& tape, int64_t D, int64_t E) {
  const int64_t x = tape.flowing(tape.B * D), y = tape.flowing(tape.B * E);
  tape.add(product_step(tape, E, D, false, x, x + y));
}

/// Patches are kept. Backward: the gradient of tokens and of patches among them.
void embed_on(MemoryTape& tape, int64_t n, int64_t D, int64_t K) {
  const int64_t patches = tape.flowing(tape.B * n * D), tokens = tape.flowing(tape.B * (n + 1) * D);
  tape.add(product_step(tape, D, K, false, tape.flowing(tape.B * n * K), tokens + patches));
  tape.add({0, tape.wide((n + 1) * D) + tape.wide(D), tokens});
}

}  // namespace

void image_tower_on(MemoryTape& tape, const nn::VitConfig& v, const ModelConfig& c) {
  const int64_t side = c.image_size() / v.patch_size, n = side * side, D = v.transformer.width;
  const bool token = v.pooling == nn::VisionPooling::token;
  const int64_t R = tape.B * (n + 1);
  embed_on(tape, n, D, c.channels() * v.patch_size * v.patch_size);
  if (v.pre_norm) norm_on(tape, R, D);
  tower_on(tape, v.transformer, n + 1, token);
  const int64_t x = tape.flowing(R * D);
  if (token) {
    norm_on(tape, tape.B, D);
  } else if (v.norm_after_pooling) {
    tape.add({0, 0, 2 * x});
    norm_on(tape, tape.B, D);
  } else {
    norm_on(tape, R, D);
    tape.add({0, 0, 2 * x});
  }
  project_on(tape, D, c.embed_dim);
}

// Backward, the tables: the gradient of the rows, in f32 as well if it is not, and their own.
void text_tower_on(MemoryTape& tape, const ModelConfig& c) {
  const nn::TextConfig& text = c.text;
  const bool packed = text.ends_where_read();
  const int64_t T = packed ? tape.setup.tokens : text.context_length, R = tape.B * T,
                D = text.transformer.width, x = tape.flowing(R * D);
  const int64_t table = tape.wide(text.vocab_size * D), positions = tape.wide(T * D);
  const bool bag = text.type == nn::TextType::cbow;
  const int64_t rows = x + (tape.narrow(1) > 0 ? tape.wide(R * D) : 0);
  tape.add({2 * tape.indices(R), table, rows + table});
  if (bag) {  // the caption of each token; sums and means, and their gradients
    const int64_t sums = tape.flowing((tape.B + 1) * D);
    tape.add({tape.indices(R) + tape.wide(tape.B), 0, x + 2 * sums});
  } else {
    tape.add({0, positions, rows + positions});
    tower_on(tape, text.transformer, T, packed);
  }
  if (!packed) tape.add({0, 0, 2 * x});
  norm_on(tape, tape.B, D);
  project_on(tape, D, c.embed_dim);
}

}  // namespace diptych
