// nn/transformer.cpp — the block every tower is made of.
#include "nn/transformer.h"

#include <algorithm>
#include <cmath>

#include "tensor/scalar_ops.h"

namespace diptych::nn {
namespace {

// openai/CLIP clip/model.py, CLIP.initialize_parameters: standard deviations of the text tower.
struct ScaledInit {
  explicit ScaledInit(const TransformerConfig& c)
      : attention(1 / std::sqrt(static_cast<double>(c.width))),
        projection(attention / std::sqrt(2.0 * static_cast<double>(c.layers))),
        fc(attention / std::sqrt(2.0)) {}
  double attention, projection, fc;
};

Init in_proj_init(const TransformerConfig& c) {
  return c.scaled_init ? Init::normal(ScaledInit(c).attention) : Init::xavier(c.width, 3 * c.width);
}

// Biases of attention projections start at zero in torch.nn.MultiheadAttention.
Linear::Options out_proj_init(const TransformerConfig& c) {
  const Init weight =
      c.scaled_init ? Init::normal(ScaledInit(c).projection) : Init::fan_in(c.width);
  return {weight, Init::constant(0)};
}

Linear::Options fc_init(const TransformerConfig& c) {
  const Init bias = Init::fan_in(c.width);
  return {c.scaled_init ? Init::normal(ScaledInit(c).fc) : bias, bias};
}

Linear::Options proj_init(const TransformerConfig& c) {
  const Init bias = Init::fan_in(c.inside());
  return {c.scaled_init ? Init::normal(ScaledInit(c).projection) : bias, bias};
}

Unary function_of(Activation a) {
  return a == Activation::gelu        ? Unary::gelu
         : a == Activation::gelu_tanh ? Unary::gelu_tanh
                                      : Unary::quick_gelu;
}

}  // namespace

const char* name(Activation a) {
  return a == Activation::gelu ? "gelu" : a == Activation::gelu_tanh ? "gelu_tanh" : "quick_gelu";
}

Activation activation_from(const std::string& text) {
  for (const Activation a : {Activation::quick_gelu, Activation::gelu, Activation::gelu_tanh}) {
    if (text == name(a)) return a;
  }
  fail("activation: '", text, "' is unknown; it must be quick_gelu, gelu or gelu_tanh");
}

MultiHeadAttention::MultiHeadAttention(const TransformerConfig& c)
    : heads(c.heads),
      causal(c.causal),
      in_proj_weight(parameter("in_proj_weight", {3 * c.width, c.width}, in_proj_init(c))),
      in_proj_bias(parameter("in_proj_bias", {3 * c.width}, Init::constant(0))),
      out_proj(child<Linear>("out_proj", c.width, c.width, out_proj_init(c))) {}

Tensor MultiHeadAttention::operator()(const LayerNorm& norm, const Tensor& x, const Ragged& layout,
                                      const Drop& drop) const {
  const Tensor qkv = linear_of(norm.function(), x, in(in_proj_weight), in(in_proj_bias));
  const Tensor y = attention(qkv, layout, heads, causal);
  return residual(
      x, [&](const Tensor& to) { return out_proj(y, to); }, drop);
}

Tensor MultiHeadAttention::pooled(const LayerNorm& norm, const Tensor& x, const Ragged& layout,
                                  const Tensor& rows, const Drop& drop) const {
  const int64_t D = x.dim(1);
  const Tensor w = in(in_proj_weight), b = in(in_proj_bias);
  const auto project = [&](const Tensor& from, int64_t first, int64_t last) {
    return linear_of(norm.function(), from, slice(w, 0, first, last), slice(b, 0, first, last));
  };
  const Tensor own = gather_rows(x, rows), q = project(own, 0, D), kv = project(x, D, 3 * D);
  const Tensor y = attention_pool(q, kv, layout, heads);
  return residual(
      own, [&](const Tensor& to) { return out_proj(y, to); }, drop);
}

Mlp::Mlp(const TransformerConfig& c)
    : activation(c.activation),
      c_fc(child<Linear>("c_fc", c.width, c.inside(), fc_init(c))),
      c_proj(child<Linear>("c_proj", c.inside(), c.width, proj_init(c))) {}

// Kept for the backward pass are x and what the activation gets: norms and activations cost less to
// compute again than to keep.
Tensor Mlp::operator()(const LayerNorm& norm, const Tensor& x, const Drop& drop) const {
  const Unary f = function_of(activation);
  if (!GradMode::enabled()) {
    const Tensor inside = c_fc.then(f, norm(x));
    return residual(
        x, [&](const Tensor& to) { return c_proj(inside, to); }, drop);
  }
  const Tensor inside = c_fc.of(norm.function(), x);
  return residual(
      x, [&](const Tensor& to) { return c_proj.of(f, inside, to); }, drop);
}

ResidualAttentionBlock::ResidualAttentionBlock(const TransformerConfig& c)
    : ln_1(child<LayerNorm>("ln_1", c.width, c.eps)),
      attn(child<MultiHeadAttention>("attn", c)),
      ln_2(child<LayerNorm>("ln_2", c.width, c.eps)),
      mlp(child<Mlp>("mlp", c)) {}

Tensor ResidualAttentionBlock::operator()(const Tensor& x, const Ragged& layout, const Dropping& d,
                                          int64_t first) const {
  return mlp(ln_2, attn(ln_1, x, layout, d.of_rows(first)), d.of_rows(first + 1));
}

Tensor ResidualAttentionBlock::pooled(const Tensor& x, const Ragged& layout, const Tensor& rows,
                                      const Dropping& d, int64_t first) const {
  return mlp(ln_2, attn.pooled(ln_1, x, layout, rows, d.of_sequences(first)),
             d.of_sequences(first + 1));
}

Transformer::Transformer(const TransformerConfig& c) {
  check(c.width > 0 && c.layers >= 0 && c.heads > 0 && c.width % c.heads == 0,
        "transformer: width ", c.width, " must be a multiple of the number of heads, ", c.heads);
  check(is_addressable({4, c.width, c.width}), "transformer: no matrix can be ", c.width, " wide");
  for (int64_t i = 0; i < c.layers; ++i) {
    blocks_.push_back(&child<ResidualAttentionBlock>("resblocks." + std::to_string(i), c));
  }
}

void Transformer::unlock_last(int64_t count) {
  for (int64_t i = std::max<int64_t>(0, size() - count); i < size(); ++i)
    blocks_[static_cast<size_t>(i)]->lock(false);
}

Tensor Transformer::run(const std::function<Tensor(const Tensor&)>& f, const Tensor& x) const {
  return checkpointing && GradMode::enabled() ? checkpoint(f, x) : f(x);
}

Tensor Transformer::through(size_t count, const Tensor& x, const Ragged& layout,
                            const Place& before) const {
  Tensor y = x;
  for (size_t i = 0; i < count; ++i) {
    const auto first = static_cast<int64_t>(2 * i);
    y = run([block = blocks_[i], layout, drop = dropping_in(*blocks_[i], before),
             first](const Tensor& in) { return (*block)(in, layout, drop, first); },
            y);
  }
  return y;
}

Tensor Transformer::operator()(const Tensor& x, const Ragged& layout, const Place& before) const {
  return through(blocks_.size(), x, layout, before);
}

Tensor Transformer::pooled(const Tensor& x, const Ragged& layout, Pooling pooling,
                           const Place& before) const {
  const bool first = pooling == Pooling::first;
  check(!first || blocks_.empty() || !blocks_.back()->attn.causal,
        "transformer: under a causal mask the first row sees nothing but itself; pool the last");
  const Tensor rows = first ? layout.first_rows("transformer") : layout.last_rows("transformer");
  if (blocks_.empty()) return gather_rows(x, rows);
  const auto last = [block = blocks_.back(), layout, rows,
                     drop = dropping_in(*blocks_.back(), before), place = 2 * (size() - 1)](
                        const Tensor& in) { return block->pooled(in, layout, rows, drop, place); };
  return run(last, through(blocks_.size() - 1, x, layout, before));
}

}  // namespace diptych::nn
