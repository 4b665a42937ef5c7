// tests/test_ema.cpp — the average of the parameters that a run keeps beside them.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "clip/weights/model_file.h"
#include "nn/ema.h"
#include "nn/layers.h"
#include "tests/squares.h"

using namespace diptych;
using namespace diptych::test;

TEST_CASE("ema: ten steps are the formula; lent and taken back nothing has changed") {
  nn::Linear layer(3, 2);
  layer.to(DType::f64);
  layer.initialize(1);
  nn::Ema ema(layer, 0.4);
  auto want = layer.weight.to_vector<double>();
  for (int t = 1; t <= 10; ++t) {
    layer.weight.copy_(randn({2, 3}, {2, static_cast<uint64_t>(t)}, DType::f64));
    ema.update(t);
    const double d = std::min(0.4, (1.0 + t) / (10.0 + t));
    const auto p = layer.weight.to_vector<double>();
    for (size_t i = 0; i < want.size(); ++i) want[i] = d * want[i] + (1 - d) * p[i];
  }
  const Tensor own = layer.weight.clone();
  ema.lend();
  const auto average = layer.weight.to_vector<double>();
  for (size_t i = 0; i < want.size(); ++i)
    CHECK(average[i] == doctest::Approx(want[i]).epsilon(1e-14));
  ema.take_back();
  CHECK(same_bits(layer.weight, own));
  CHECK(contains(error_of([&] { nn::Ema(layer, 1); }), "a decay of 1"));
}

TEST_CASE("ema: it is in f32 beside parameters of 16 bits, where small steps would be lost") {
  nn::Linear layer(1, 1);
  layer.initialize(1);
  layer.to(DType::bf16);
  layer.weight.fill_(1);
  nn::Ema ema(layer, 0.999);
  for (int t = 1; t <= 4000; ++t) {
    layer.weight.fill_(t < 2000 ? 1 : 1.0078125);
    ema.update(t + 10000);
  }
  CHECK(ema.state()[0].tensor.dtype() == DType::f32);
  const Tensor before = ema.state()[0].tensor.clone();
  ema.lend();  // rounded to bf16 there, and not here
  ema.take_back();
  CHECK(same_bits(ema.state()[0].tensor, before));
  CHECK(ema.state()[0].tensor.to_vector<double>()[0] ==
        doctest::Approx(1 + 0.0078125 * (1 - 0.1352)).epsilon(1e-4));  // 0.999²⁰⁰¹ = 0.1350
}

TEST_CASE("ema: a run that is resumed ends with the same average, and its file opens as a model") {
  const TempDir dir;
  TrainConfig config = squares_training();
  config.ema_decay = 0.9;
  train_squares(config, dir / "whole");
  train_squares(config, dir / "half");
  std::filesystem::remove_all(newest_checkpoint(dir / "half"));
  train_squares(config, dir / "half", /*resume=*/true);
  const std::string file = newest_checkpoint(dir / "whole") + '/' + kEmaFile;
  CHECK(get_file(newest_checkpoint(dir / "half") + '/' + kEmaFile) == get_file(file));
  CHECK(get_file(newest_checkpoint(dir / "whole") + '/' + kModelFile) != get_file(file));
  CHECK(load_model(file).words().vocab_size() > 0);
  // The average changes nothing about training.
  TrainConfig plain = squares_training();
  const std::string without = train_squares(plain, dir / "plain");
  CHECK(get_file(newest_checkpoint(dir / "plain") + '/' + kModelFile) ==
        get_file(newest_checkpoint(dir / "whole") + '/' + kModelFile));
  // Damage is seen, in it as in the others, and a missing one is missed.
  std::string bytes = get_file(file);
  bytes[bytes.size() - 3] ^= 1;
  put_file(file, bytes);
  CHECK(contains(error_of([&] { load_model(file); }), "is damaged"));
  CHECK(contains(error_of([&] { train_squares(config, dir / "plain", /*resume=*/true); }),
                 "has no ema.safetensors"));
}
