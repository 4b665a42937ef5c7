// tests/test_towers.cpp — the configuration reaches every part of a tower.
#include <doctest/doctest.h>

#include <cmath>

#include "nn/text_transformer.h"
#include "nn/vit.h"

using namespace diptych;
using namespace diptych::nn;

namespace {

constexpr double kEps = 0.3;  // as large as the variances: it shows wherever it is forgotten

// 12 digits: f64, another order of sums.
void check_same(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  const auto x = a.to_vector<double>(), y = b.to_vector<double>();
  for (size_t i = 0; i < x.size(); ++i) CHECK(x[i] == doctest::Approx(y[i]).epsilon(1e-12));
}

Tensor parameter_of(const Module& module, const std::string& name) {
  for (const auto& entry : module.named_parameters())
    if (entry.name == name) return entry.tensor;
  FAIL("no parameter " << name);
  return {};
}

template <class M>
void draw_all(M& module) {
  module.to(DType::f64);
  uint64_t stream = 0;
  for (const Tensor& p : module.parameters())
    p.detach().copy_(randn(p.shape(), {5, stream++}, DType::f64));
}

Tensor normed(const Module& module, const std::string& name, const Tensor& x) {
  return layer_norm(x, parameter_of(module, name + ".weight"), parameter_of(module, name + ".bias"),
                    kEps);
}

TransformerConfig narrow(int64_t layers) {
  TransformerConfig c;
  c.width = 4;
  c.heads = 2;
  c.layers = layers;
  c.eps = kEps;
  return c;
}

}  // namespace

TEST_CASE("transformer: both norms of a block have the configuration's eps") {
  Transformer tower(narrow(1));
  draw_all(tower);
  const auto p = [&](const std::string& name) {
    return parameter_of(tower, "resblocks.0." + name);
  };
  const Tensor x = randn({3, 4}, {6, 0}, DType::f64);
  const Ragged layout = Ragged::of_lengths({3});
  const Tensor qkv = linear(normed(tower, "resblocks.0.ln_1", x), p("attn.in_proj_weight"),
                            p("attn.in_proj_bias"));
  const Tensor y = x + linear(attention(qkv, layout, 2, false), p("attn.out_proj.weight"),
                              p("attn.out_proj.bias"));
  const Tensor h = quick_gelu(
      linear(normed(tower, "resblocks.0.ln_2", y), p("mlp.c_fc.weight"), p("mlp.c_fc.bias")));
  check_same(tower(x, layout), y + linear(h, p("mlp.c_proj.weight"), p("mlp.c_proj.bias")));
}

TEST_CASE("towers: without blocks, the image tower is two norms of the class token, projected") {
  VisionTransformer tower({.patch_size = 2, .transformer = narrow(0)}, {.size = 4, .channels = 1},
                          3);
  draw_all(tower);
  const Tensor token = parameter_of(tower, "class_embedding") +
                       slice(parameter_of(tower, "positional_embedding"), 0, 0, 1);
  const Tensor twice = normed(tower, "ln_post", normed(tower, "ln_pre", token));
  check_same(tower(randn({1, 1, 4, 4}, {6, 1}, DType::f64)),
             matmul(twice, parameter_of(tower, "proj")));
}

TEST_CASE("towers: without blocks, the text tower is a norm of the last token, projected") {
  TextTransformer tower({.context_length = 5, .vocab_size = 7, .transformer = narrow(0)}, 3);
  draw_all(tower);
  const auto row = [&](const std::string& name, int64_t i) {
    return slice(parameter_of(tower, name), 0, i, i + 1);
  };
  const Tensor token = row("token_embedding.weight", 6) + row("positional_embedding", 2);
  check_same(tower(from_vector<int64_t>({1, 2, 6}, {3}), Ragged::of_lengths({3})),
             matmul(normed(tower, "ln_final", token), parameter_of(tower, "text_projection")));
}
