// tests/test_weights_checked.cpp — weights that are no numbers are refused when a file is opened.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "clip/weights/check.h"
#include "clip/weights/export.h"
#include "clip/weights/model_file.h"
#include "tensor/io/safetensors.h"
#include "tests/files.h"

using namespace diptych;
using namespace diptych::test;

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN(),
                 kInf = std::numeric_limits<double>::infinity();
const std::string kVit = "tests/golden/tiny_clip.safetensors",
                  kResNet = "tests/golden/tiny_resnet.safetensors";

/// The tensors with one element of one of them replaced.
std::vector<NamedTensor> spoiled(std::vector<NamedTensor> tensors, const std::string& name,
                                 double value, DType dtype = DType::f32) {
  for (NamedTensor& x : tensors) {
    if (x.name != name) continue;
    x.tensor = x.tensor.to(dtype).clone();
    Tensor last = x.tensor.view({-1}).slice(0, x.tensor.numel() - 1, x.tensor.numel());
    last.fill_(value);
  }
  return tensors;
}

std::string error_about(const std::string& name, const Tensor& x) {
  return error_of([&] { check_values({{name, x}}); });
}

}  // namespace

TEST_CASE("weights checked: a NaN or an infinity in any tensor of a file") {
  const TempDir dir;
  const std::string path = dir / "m.safetensors";
  for (const std::string& good : {kVit, kResNet}) {
    const SafeTensors file = load_safetensors(good);
    for (const NamedTensor& x : file.tensors) {
      if (!is_float(x.tensor.dtype())) continue;
      CAPTURE(x.name);
      for (const double value : {kNan, -kInf}) {
        save_safetensors(path, spoiled(file.tensors, x.name, value), file.metadata);
        const std::string error = error_of([&] { load_model(path); });
        CHECK_MESSAGE(error.starts_with("model: '" + path + "': tensor '" + x.name + "' "), error);
        CHECK(contains(error, ": 1 of " + std::to_string(x.tensor.numel()) + " values are NaN"));
      }
    }
  }
}

TEST_CASE("weights checked: of every floating-point type, by what f32 can hold") {
  for (const DType dtype : {DType::f16, DType::bf16, DType::f32, DType::f64}) {
    CAPTURE(dtype);
    CHECK(error_about("x", full({3}, 60000, dtype)) == "");
    CHECK(error_about("x", zeros({0}, dtype)) == "");
    for (const double bad : {kNan, kInf, -kInf})
      CHECK(contains(error_about("x", full({3}, bad, dtype)), "tensor 'x' (3): 3 of 3 values"));
  }
  CHECK(error_about("x", full({2}, -3e38, DType::f64)) == "");
  CHECK(contains(error_about("x", full({2}, -1e300, DType::f64)), "2 of 2 values"));
  CHECK(error_about("x", full({2}, 7, DType::i64)) == "");
}

TEST_CASE("weights checked: each bad element of a large tensor is counted, and views as they are") {
  Tensor x = zeros({1000, 1000});
  for (const int64_t i : {0, 1, 499, 998, 999}) x.slice(0, i, i + 1).slice(1, i, i + 1).fill_(kNan);
  CHECK(contains(error_about("x", x), "5 of 1000000 values"));
  CHECK(contains(error_about("x", x.slice(1, 0, 500)), "3 of 500000 values"));
  CHECK(error_about("x", x.slice(0, 2, 499)) == "");
}

TEST_CASE("weights checked: a scale that cannot multiply, variances below zero") {
  const auto scale = [](double value, DType dtype) {
    return error_about("logit_scale", full({}, value, dtype));
  };
  for (const DType dtype : {DType::f16, DType::f32, DType::f64}) {
    CHECK(scale(4.6, dtype) == "");
    CHECK(scale(0, dtype) == "");
    CHECK(contains(scale(89, dtype), "no finite number above 0"));
    CHECK(contains(scale(-200, dtype), "no finite number above 0"));
  }
  CHECK(contains(error_about("module.logit_scale", full({1}, 1e4)), "no finite number"));
  CHECK(error_about("visual.bn1.running_var", zeros({4})) == "");
  CHECK(error_about("visual.bn1.running_mean", full({4}, -1)) == "");
  CHECK(contains(error_about("visual.bn1.running_var", full({4}, -1e-3)),
                 "4 of 4 variances are negative"));
}

TEST_CASE("weights checked: under the names of the file, whoever wrote it; masks may be infinite") {
  const TempDir dir;
  const LoadedModel good = load_model(kVit);
  export_hugging_face(dir / "hf", *good.model, nullptr);
  const std::string path = dir / "hf/model.safetensors",
                    name = "text_model.encoder.layers.1.self_attn.k_proj.weight";
  const SafeTensors file = load_safetensors(path);
  save_safetensors(path, spoiled(file.tensors, name, kNan), file.metadata);
  CHECK(contains(error_of([&] { load_model(dir / "hf"); }), path + "': tensor '" + name + "' "));
  CHECK(error_about("visual.transformer.attn_mask", full({2, 2}, -kInf)) == "");
}

TEST_CASE(
    "weights checked: of another architecture the first tensor that differs is named, in one "
    "line") {
  const auto tensors = load_safetensors(kVit).tensors;
  ModelConfig other = load_model(kVit).model->config();
  other.embed_dim = 7;
  const std::string error = error_of([&] { check_sizes(other, tensors); });
  CHECK(
      error ==
      "the weights are of another architecture than the configuration: 'visual.proj' is (32, 24), "
      "the model needs (32, 7), and 1 more tensors differ");
  other.text.transformer.width = 64;
  CHECK(contains(error_of([&] { check_sizes(other, tensors); }), "'visual.proj' is (32, 24)"));
}
