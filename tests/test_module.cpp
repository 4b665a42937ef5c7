// tests/test_module.cpp — modules, layers and towers.
#include <doctest/doctest.h>

#include <cmath>

#include "autograd/gradcheck.h"
#include "clip/model.h"
#include "nn/layer_table.h"
#include "tests/files.h"

using namespace diptych;
using namespace diptych::nn;
using diptych::test::contains;
using diptych::test::error_of;

namespace {

ModelConfig tiny_config() {
  ModelConfig c = preset("tiny");
  c.vit()->transformer.layers = c.text.transformer.layers = 1;
  return c;
}

std::vector<NamedTensor> values_of(const Module& module) {
  std::vector<NamedTensor> values;
  for (const auto& [name, value] : module.state_dict()) values.push_back({name, value.clone()});
  return values;
}

}  // namespace

TEST_CASE("layers: every layer passes gradcheck to 1e-6, inputs and parameters") {
  for (const LayerCase& layer : layer_table()) {
    CAPTURE(layer.name);
    const GradcheckResult result = gradcheck(layer.f, layer.inputs);
    CAPTURE(result.where);
    CHECK(result.worst < 1e-6);
  }
}

TEST_CASE("module: names are OpenAI's") {
  const Clip model(tiny_config());
  std::vector<std::string> names;
  for (const NamedTensor& value : model.state_dict()) names.push_back(value.name);
  for (const char* name :
       {"logit_scale", "visual.conv1.weight", "visual.class_embedding", "visual.ln_pre.weight",
        "visual.transformer.resblocks.0.attn.in_proj_weight",
        "visual.transformer.resblocks.0.mlp.c_fc.bias", "visual.proj", "positional_embedding",
        "text_projection", "token_embedding.weight", "transformer.resblocks.0.ln_2.bias",
        "ln_final.weight"}) {
    CAPTURE(name);
    CHECK(std::count(names.begin(), names.end(), name) == 1);
  }
}

TEST_CASE("module: a state dict is the module's own memory, without history") {
  const BatchNorm2d norm(2);
  std::vector<std::string> names;
  for (NamedTensor& value : norm.state_dict()) {
    names.push_back(value.name);
    CHECK(!needs_grad(value.tensor));
    value.tensor.fill_(3);
  }
  CHECK(names == std::vector<std::string>{"weight", "bias", "running_mean", "running_var",
                                          "num_batches_tracked"});
  for (const auto& entry : norm.state()) CHECK(entry.tensor.to_vector<double>()[0] == 3);
}

TEST_CASE("module: initial values depend on the seed and the name alone") {
  ModelConfig deeper = tiny_config();
  deeper.vit()->transformer.layers = 2;
  Clip a(tiny_config()), b(tiny_config()), c(deeper);
  a.initialize(1);
  b.initialize(1);
  c.initialize(1);
  const auto va = values_of(a), vb = values_of(b);
  for (size_t i = 0; i < va.size(); ++i) CHECK(test::same_bits(va[i].tensor, vb[i].tensor));
  // Another layer elsewhere changes nothing here.
  const auto find = [](const std::vector<NamedTensor>& all, const std::string& name) {
    for (const auto& v : all) {
      if (v.name == name) return v.tensor;
    }
    return Tensor();
  };
  CHECK(test::same_bits(find(va, "visual.proj"), find(values_of(c), "visual.proj")));
  b.initialize(2);
  CHECK(!test::same_bits(find(va, "visual.proj"), find(values_of(b), "visual.proj")));
}

TEST_CASE("module: parameters of one shape begin with different values") {
  Transformer tower({{.width = 8, .layers = 2, .heads = 2}});
  tower.initialize(1);
  std::vector<NamedTensor> weights;
  for (const auto& value : values_of(tower)) {
    if (value.tensor.shape() == Shape{8, 32}) weights.push_back(value);
  }
  REQUIRE(weights.size() == 2);
  CHECK(!test::same_bits(weights[0].tensor, weights[1].tensor));
}

TEST_CASE("module: initial values follow the reference's rules") {
  Clip model(preset("small"));
  model.initialize(3);
  const auto statistics = [&](const std::string& wanted) {
    for (const auto& entry : model.state()) {
      if (entry.name != wanted) continue;
      double sum = 0, squares = 0, most = 0;
      for (const double x : entry.tensor.to_vector<double>()) {
        sum += x;
        squares += x * x;
        most = std::max(most, std::fabs(x));
      }
      const auto n = static_cast<double>(entry.tensor.numel());
      return std::array<double, 3>{sum / n, std::sqrt(squares / n), most};
    }
    return std::array<double, 3>{NAN, NAN, NAN};
  };
  const double D = 192;
  // 5 % is five standard errors of the deviation of the smallest of these tensors, 192 × 192
  // numbers or more.
  CHECK(statistics("token_embedding.weight")[1] == doctest::Approx(0.02).epsilon(0.05).scale(0));
  CHECK(statistics("transformer.resblocks.0.attn.in_proj_weight")[1] ==
        doctest::Approx(1 / std::sqrt(D)).epsilon(0.05).scale(0));
  CHECK(statistics("transformer.resblocks.0.mlp.c_proj.weight")[1] ==
        doctest::Approx(1 / std::sqrt(D * 8)).epsilon(0.05).scale(0));
  CHECK(statistics("transformer.resblocks.0.mlp.c_fc.weight")[1] ==
        doctest::Approx(1 / std::sqrt(2 * D)).epsilon(0.05).scale(0));
  CHECK(statistics("visual.proj")[1] == doctest::Approx(1 / std::sqrt(D)).epsilon(0.05).scale(0));
  CHECK(statistics("visual.transformer.resblocks.0.mlp.c_fc.weight")[2] <= 1 / std::sqrt(D));
  CHECK(statistics("visual.transformer.resblocks.0.mlp.c_fc.weight")[1] ==
        doctest::Approx(1 / std::sqrt(3 * D)).epsilon(0.05).scale(0));
  CHECK(statistics("visual.transformer.resblocks.0.attn.in_proj_bias")[2] == 0);
  CHECK(statistics("visual.ln_pre.weight")[0] == 1);
  CHECK(statistics("logit_scale")[0] == doctest::Approx(std::log(1 / 0.07)));
}

TEST_CASE("module: one error lists every tensor that does not fit, and nothing is loaded") {
  Clip model(tiny_config());
  model.initialize(0);
  auto values = values_of(model);
  const auto before = values_of(model);
  values[1].tensor = zeros({3, 3});
  const std::string wrong = values[1].name, missing = values[2].name;
  values.erase(values.begin() + 2);
  values.push_back({"stranger", zeros({1})});
  values.push_back(values[3]);
  for (auto& value : values) {
    if (value.name != wrong) value.tensor = full(value.tensor.shape(), 9);
  }
  const std::string error = error_of([&] { model.load_state(values); });
  CHECK(contains(error, "missing: " + missing));
  CHECK(contains(error, "wrong shape: " + wrong + " is (3, 3)"));
  CHECK(contains(error, "unexpected: stranger"));
  CHECK(contains(error, "twice: " + values[3].name));
  const auto after = values_of(model);
  for (size_t i = 0; i < before.size(); ++i)
    CHECK(test::same_bits(before[i].tensor, after[i].tensor));
}

TEST_CASE("module: a cast is seen through every handle") {
  Linear layer(2, 3);
  const Tensor handle = layer.weight;
  layer.to(DType::f64);
  CHECK(handle.dtype() == DType::f64);
  CHECK(layer.parameters()[0].same_storage(handle));
  CHECK(layer(zeros({1, 2}, DType::f64)).dtype() == DType::f64);
}

TEST_CASE("text: packed captions and pooled rows give what padded ones do, and gradients") {
  TransformerConfig config;
  config.width = 16;
  config.layers = 2;
  config.heads = 2;
  config.causal = true;
  Transformer tower(config);
  tower.to(DType::f64);
  tower.initialize(4);
  const std::vector<int64_t> lengths{3, 7, 1};
  constexpr int64_t T = 7;

  // The same rows, once packed and once with junk behind each caption; the loss reads the last true
  // row.
  const Tensor padded = randn({3 * T, 16}, {8, 0}, DType::f64),
               g = randn({3, 16}, {8, 1}, DType::f64);
  const Ragged packed_layout = Ragged::of_lengths(lengths), padded_layout = Ragged::equal(3, T);
  std::vector<int64_t> kept, last_padded;
  for (int64_t b = 0; b < 3; ++b) {
    for (int64_t t = 0; t < packed_layout.length(b); ++t) kept.push_back(b * T + t);
    last_padded.push_back(kept.back());
  }
  const std::vector<int64_t> last_packed = packed_layout.last_rows("test").to_vector<int64_t>();
  const auto run = [&](const Tensor& x, const Ragged& layout, const std::vector<int64_t>& last,
                       bool pooled) {
    tower.zero_grad();
    const Tensor y = pooled ? tower.pooled(x, layout, Pooling::last)
                            : gather_rows(tower(x, layout), from_vector(last, {3}));
    backward(y, g);
    std::vector<Tensor> grads;
    for (const Tensor& p : tower.parameters()) grads.push_back(grad(p));
    return std::make_pair(y.detach(), grads);
  };
  const Tensor rows = from_vector(kept, {static_cast<int64_t>(kept.size())});
  const auto full = run(padded, padded_layout, last_padded, false);
  const auto close = [](const Tensor& a, const Tensor& b) {
    const auto va = a.to_vector<double>(), vb = b.to_vector<double>();
    for (size_t i = 0; i < va.size(); ++i) {
      if (std::fabs(va[i] - vb[i]) > 1e-12 * std::max(1.0, std::fabs(vb[i])))
        return false;  // f64, other order of sums
    }
    return true;
  };
  for (const bool pooled : {false, true}) {
    for (const bool checkpointing : {false, true}) {
      INFO("pooled ", pooled, " checkpointing ", checkpointing);
      tower.checkpointing = checkpointing;
      const auto packed = run(gather_rows(padded, rows), packed_layout, last_packed, pooled);
      CHECK(close(packed.first, full.first));
      for (size_t i = 0; i < full.second.size(); ++i)
        CHECK(close(packed.second[i], full.second[i]));
    }
  }
}

TEST_CASE("transformer: under a causal mask only a last row can be pooled") {
  TransformerConfig config{{.width = 4, .layers = 1, .heads = 1}, /*causal=*/true};
  const Transformer causal(config);
  CHECK(contains(error_of([&] {
                   causal.pooled(zeros({3, 4}), Ragged::of_lengths({2, 1}), Pooling::first);
                 }),
                 "under a causal mask the first row sees nothing but itself"));
  CHECK(contains(error_of([&] {
                   causal.pooled(zeros({3, 4}), Ragged::of_lengths({3, 0}), Pooling::last);
                 }),
                 "transformer: sequence 1 has no rows"));
}

TEST_CASE("towers: wrong sizes are refused by name") {
  const Clip model(tiny_config());
  CHECK(contains(error_of([&] {
                   model.encode_image(zeros({1, 3, 28, 28}));
                 }),
                 "vit: needs pixels (B, 1, 28, 28)"));
  CHECK(contains(error_of([&] { model.encode_text(pack({std::vector<int64_t>(17)})); }),
                 "caption 0 has 17 tokens"));
  CHECK(contains(error_of([&] { model.encode_text(pack({{512}})); }), "index 512 is out of range"));
  CHECK(contains(error_of([&] {
                   model.encode_text({zeros({3}, DType::i64), Ragged::of_lengths({2})});
                 }),
                 "text: a layout of 2 tokens does not fit (3)"));
  ModelConfig odd = tiny_config();
  odd.vit()->patch_size = 5;
  CHECK(contains(error_of([&] { Clip bad(odd); }), "patch size 5 must divide"));
}
