// nn/layer_table.cpp — layers under gradcheck.
#include "nn/layer_table.h"

#include <memory>

#include "nn/resnet.h"
#include "nn/text_cbow.h"
#include "nn/text_transformer.h"
#include "nn/vit.h"

namespace diptych::nn {
namespace {

constexpr int64_t kWidth = 8, kRows = 7;

Ragged layout(const Tensor& x) { return Ragged::of_lengths({4, kRows - 4}, x.device()); }

constexpr TowerConfig kSmall{.width = kWidth, .layers = 2, .heads = 2};

// Random values for all parameters, gains and biases too: a gradient that is only right at one and
// zero is wrong.
template <class M, class F>
LayerCase make_case(const char* name, std::shared_ptr<M> layer, const Tensor& x, F forward) {
  layer->to(DType::f64);
  LayerCase c{name, {}, {}, layer};
  if (x.defined()) c.inputs.push_back(x);
  uint64_t stream = 1;
  for (const Tensor& p : layer->parameters()) {
    p.detach().copy_(randn(p.shape(), {7, stream++}, DType::f64));
    c.inputs.push_back(p);
  }
  c.f = [layer, forward](const std::vector<Tensor>& in) { return forward(*layer, in[0]); };
  return c;
}

Tensor rows() { return randn({kRows, kWidth}, {7, 0}, DType::f64); }

const auto kCall = [](const auto& layer, const Tensor& x) { return layer(x); };
// Layers that normalise their input themselves.
template <class L, class... Rest>
Tensor call_normed(const L& layer, const Tensor& x, const Rest&... rest) {
  LayerNorm norm(kWidth, 1e-5);
  norm.to(DType::f64);
  norm.initialize(0);  // gains of one
  norm.to(x.device());
  return layer(norm, x, rest...);
}
const auto kCallNormed = [](const auto& layer, const Tensor& x) { return call_normed(layer, x); };
const auto kCallAttention = [](const auto& layer, const Tensor& x) {
  return call_normed(layer, x, layout(x));
};
const auto kCallPacked = [](const auto& layer, const Tensor& x) { return layer(x, layout(x)); };

LayerCase vit_case(const char* name, const VitConfig& how = {}) {
  VitConfig c = how;
  c.patch_size = 2;
  c.transformer = kSmall;
  const PictureShape pictures{.size = 4, .channels = 2};
  return make_case(name, std::make_shared<VisionTransformer>(c, pictures, 5),
                   randn({2, 2, 4, 4}, {7, 0}, DType::f64), kCall);
}

template <class Text = TextTransformer>
LayerCase text_case(const char* name, const TextConfig& how = {}) {
  TextConfig c = how;
  c.context_length = 6;
  c.vocab_size = 9;
  c.transformer = kSmall;
  return make_case(name, std::make_shared<Text>(c, 5), {},
                   [](const Text& text, const Tensor& beside) {
                     const auto ids = from_vector<int64_t>({7, 3, 1, 8, 7, 2, 8}, {kRows});
                     return text(ids.to(beside.device()), layout(beside));
                   });
}

LayerCase batch_norm_case(const char* name, bool training) {
  auto layer = std::make_shared<BatchNorm2d>(kWidth);
  layer->train(training);
  return make_case(name, layer, rows(), kCall);
}

}  // namespace

std::vector<LayerCase> layer_table(Device device) {
  const TransformerConfig full{kSmall}, causal{kSmall, true};
  TransformerConfig gelu = full;
  gelu.activation = Activation::gelu;
  TransformerConfig by_tanh = full;
  by_tanh.activation = Activation::gelu_tanh;
  auto checkpointed = std::make_shared<Transformer>(causal);
  checkpointed->checkpointing = true;
  auto dropping = std::make_shared<Transformer>(causal);
  dropping->dropping = {.rate = 0.3, .seed = {7, 3}};
  const Tensor ids = from_vector<int64_t>({4, 0, 4, 2}, {4});

  std::vector<LayerCase> table;
  table.push_back(make_case("Linear", std::make_shared<Linear>(kWidth, 5), rows(), kCall));
  table.push_back(make_case("LayerNorm", std::make_shared<LayerNorm>(kWidth, 1e-5), rows(), kCall));
  table.push_back(make_case("Embedding", std::make_shared<Embedding>(5, kWidth, Init::normal(1)),
                            {}, [ids](const Embedding& layer, const Tensor& weight) {
                              return layer(ids.to(weight.device()));
                            }));
  table.push_back(make_case("Mlp", std::make_shared<Mlp>(full), rows(), kCallNormed));
  table.push_back(make_case("Mlp (gelu)", std::make_shared<Mlp>(gelu), rows(), kCallNormed));
  table.push_back(
      make_case("Mlp (gelu_tanh)", std::make_shared<Mlp>(by_tanh), rows(), kCallNormed));
  table.push_back(make_case("MultiHeadAttention", std::make_shared<MultiHeadAttention>(full),
                            rows(), kCallAttention));
  table.push_back(make_case("MultiHeadAttention (causal)",
                            std::make_shared<MultiHeadAttention>(causal), rows(), kCallAttention));
  table.push_back(make_case("ResidualAttentionBlock",
                            std::make_shared<ResidualAttentionBlock>(full), rows(), kCallPacked));
  table.push_back(
      make_case("Transformer", std::make_shared<Transformer>(causal), rows(), kCallPacked));
  table.push_back(make_case("Transformer (checkpointing)", checkpointed, rows(), kCallPacked));
  table.push_back(make_case("Transformer (dropout)", dropping, rows(), kCallPacked));
  table.push_back(make_case("Transformer (pooled)", std::make_shared<Transformer>(full), rows(),
                            [](const Transformer& layer, const Tensor& x) {
                              return layer.pooled(x, layout(x), Pooling::first);
                            }));
  const Tensor picture = randn({2, 4, 4, kWidth}, {7, 0}, DType::f64);
  table.push_back(
      make_case("Conv2d", std::make_shared<Conv2d>(kWidth, 5, 3, 2, 1), picture, kCall));
  table.push_back(batch_norm_case("BatchNorm2d (training)", true));
  table.push_back(batch_norm_case("BatchNorm2d (evaluation)", false));
  table.push_back(
      make_case("Bottleneck", std::make_shared<Bottleneck>(kWidth, 3, 2), picture, kCall));
  table.push_back(make_case("AttentionPool2d", std::make_shared<AttentionPool2d>(16, kWidth, 2, 5),
                            picture, kCall));
  // Not the whole ModifiedResNet: of its thousands of ReLUs one is always at its kink, where a
  // finite difference is no derivative. Its gradients are held against open_clip's in the tests.
  const auto average = VisionPooling::average;
  table.push_back(vit_case("VisionTransformer"));
  table.push_back(vit_case("VisionTransformer (norm of the mean)", {.pooling = average}));
  table.push_back(vit_case("VisionTransformer (mean of norms, no norm before)",
                           {.pre_norm = false, .pooling = average, .norm_after_pooling = false}));
  table.push_back(text_case("TextTransformer"));
  table.push_back(text_case("TextTransformer (every token sees every other)", {.causal = false}));
  table.push_back(text_case("TextTransformer (last)", {.pooling = TextPooling::last}));
  table.push_back(text_case<CbowText>("CbowText"));
  for (LayerCase& c : table) {
    c.layer->to(device);  // its parameters are inputs already
    for (Tensor& x : c.inputs) x = x.to(device);
  }
  return table;
}

}  // namespace diptych::nn
