// tests/test_grad_cache.cpp — a batch in parts has the gradients of the batch.
#include <doctest/doctest.h>

#include <cmath>
#include <map>

#include "clip/train/grad_cache.h"
#include "nn/optim.h"
#include "tests/precisions.h"
#include "tests/squares.h"

using namespace diptych;
using namespace diptych::test;

namespace {

constexpr int64_t kPairs = 11;

ModelConfig two_blocks() {
  ModelConfig c = tiny_config();
  c.preprocess.size = 16;  // 16 patches
  c.vit()->transformer.layers = c.text.transformer.layers = 2;
  return c;
}

ModelConfig residual() {
  ModelConfig c = tiny_config();
  c.vision = nn::ResNetConfig{8, {1, 1, 1, 1}, 4};
  c.preprocess.size = 32;
  return c;
}

Clip& begun(Clip& model) {
  model.initialize(3);
  model.train();
  return model;
}

struct Gradients {
  double loss;
  std::map<std::string, std::vector<double>> of;  // parameters
};

// Captions have four to six tokens.
Gradients gradients(Clip& model, const StepOptions& options) {
  const RandomPairs pairs = random_pairs(model.config(), kPairs, 1);
  const DType type = model.logit_scale().dtype();
  Gradients all;
  all.loss = accumulate_gradients(model, pairs.pixels.to(type), pairs.captions, options).item();
  for (const auto& entry : model.named_parameters())
    if (needs_grad(entry.tensor) && grad(entry.tensor).defined())
      all.of[entry.name] = grad(entry.tensor).to_vector<double>();
  model.zero_grad();
  return all;
}

double largest(const std::vector<double>& values) {
  double most = 0;
  for (const double v : values) most = std::max(most, std::fabs(v));
  return most;
}

// The largest distance of an element, as a share of the largest of its parameter.
double distance(const Gradients& a, const Gradients& b) {
  double most = 0;
  REQUIRE(a.of.size() == b.of.size());
  for (const auto& [name, x] : a.of) {
    const std::vector<double>& y = b.of.at(name);
    std::vector<double> apart;
    for (size_t i = 0; i < x.size(); ++i) apart.push_back(x[i] - y[i]);
    most = std::max(most, largest(apart) / std::max(largest(x), 1e-300));
  }
  return most;
}

// The length of the difference of all gradients, as a share of theirs.
double mean_distance(const Gradients& a, const Gradients& b) {
  double apart = 0, length = 0;
  for (const auto& [name, x] : a.of) {
    for (size_t i = 0; i < x.size(); ++i) {
      apart += std::pow(x[i] - b.of.at(name)[i], 2);
      length += x[i] * x[i];
    }
  }
  return std::sqrt(apart / length);
}

// In as many parts as there are, with and without recomputation.
void check_parts(Clip& model, double within) {
  const Gradients whole = gradients(model, {});
  for (const bool checkpointing : {false, true}) {
    model.set_checkpointing(checkpointing);
    for (const int64_t K : {1, 2, 3, 5, 7, 11}) {
      CAPTURE(K);
      CAPTURE(checkpointing);
      const Gradients parts = gradients(model, {.accum_freq = K});
      CHECK(std::fabs(parts.loss - whole.loss) <= within * std::fabs(whole.loss));
      CHECK(distance(whole, parts) <= within);
    }
  }
  model.set_checkpointing(false);
}

void check_parts_in_f64(const ModelConfig& config, const std::function<void(Clip&)>& prepare = {}) {
  Clip model(config);
  begun(model).to(DType::f64);
  if (prepare) prepare(model);
  check_parts(model, 1e-11);
}

}  // namespace

TEST_CASE("grad cache: the losses of parts, added up, are another loss") {
  Clip model(two_blocks());
  begun(model).to(DType::f64);
  const Gradients whole = gradients(model, {});
  const RandomPairs pairs = random_pairs(model.config(), kPairs, 1);
  for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 6}, {6, kPairs}}) {
    const std::vector<int64_t>& ends = pairs.captions.layout.ends();
    const Captions some{pairs.captions.tokens.slice(0, ends[static_cast<size_t>(begin)],
                                                    ends[static_cast<size_t>(end)]),
                        pairs.captions.layout.slice(begin, end)};
    const double share = static_cast<double>(end - begin) / kPairs;
    accumulate_gradients(model, pairs.pixels.slice(0, begin, end).to(DType::f64), some,
                         {.loss_scale = share});
  }
  Gradients parts;
  for (const auto& entry : model.named_parameters())
    parts.of[entry.name] = grad(entry.tensor).to_vector<double>();
  CHECK(mean_distance(whole, parts) > 0.05);
}

// In f64, where what is wrong cannot hide behind rounding.
TEST_CASE("grad cache: gradients in parts are those of the batch; the temperature's too") {
  check_parts_in_f64(two_blocks());
}

TEST_CASE("grad cache: in f32 gradients in parts are those of the batch to 1e-5") {
  Clip model(two_blocks());
  begun(model);
  check_parts(model, 1e-5);
}

TEST_CASE("grad cache: what is left out is that of the whole batch, in every tower") {
  const auto dropping = [](Clip& model) { model.set_dropping(0.3, 0.25, 5, 7); };
  check_parts_in_f64(two_blocks(), dropping);
  ModelConfig average = two_blocks();  // every row of the last block is used
  average.vit()->pooling = nn::VisionPooling::average;
  average.text.pooling = nn::TextPooling::last;  // captions are padded
  check_parts_in_f64(average, dropping);
  ModelConfig bag = two_blocks();
  bag.text.type = nn::TextType::cbow;
  check_parts_in_f64(bag, dropping);
}

TEST_CASE("grad cache: one part has the bits of the batch; loss and features are returned") {
  Clip model(two_blocks());
  begun(model);
  const RandomPairs pairs = random_pairs(model.config(), kPairs, 1);
  const StepValues whole = forward_backward(model, pairs.pixels, pairs.captions),
                   one = forward_backward(model, pairs.pixels, pairs.captions, {1, 1}),
                   parts = forward_backward(model, pairs.pixels, pairs.captions, {1, 4});
  CHECK(same_bits(whole.loss, one.loss));
  CHECK(same_bits(whole.image, one.image));
  for (const Tensor& x : {parts.loss, parts.image, parts.text}) CHECK_FALSE(needs_grad(x));
  CHECK(parts.image.shape() == whole.image.shape());
  CHECK(parts.loss.item() == doctest::Approx(whole.loss.item()).epsilon(1e-6));
}

TEST_CASE("grad cache: a locked tower is run once, and nothing in it gets a gradient") {
  for (const bool image : {true, false}) {
    Clip model(two_blocks());
    begun(model).to(DType::f64);
    image ? model.lock_image() : model.lock_text();
    check_parts(model, 1e-11);
    int64_t attentions = 0;
    const OpWatch watch([&](const char* op, const Tensor&, bool backward) {
      attentions += !backward && std::string(op).starts_with("attention");
    });
    gradients(model, {.accum_freq = 2});
    CHECK(attentions == 3 * 2 * 2);  // blocks of three passes, in two parts
  }
  Clip model(two_blocks());
  begun(model).to(DType::f64);
  model.lock_image(2);
  check_parts(model, 1e-11);
}

TEST_CASE("grad cache: the loss scale reaches every gradient once") {
  Clip model(two_blocks());
  begun(model).to(DType::f64);
  const Gradients whole = gradients(model, {.loss_scale = 64});
  CHECK(distance(whole, gradients(model, {64, 3})) <= 1e-11);
  CHECK(distance(gradients(model, {}), gradients(model, {64, 3})) > 1);
}

// Of all gradients together, as a share of their length: rounding to 8 bits moves those of the
// whole batch by some per cent. The first pass rounds elsewhere than the second, since it keeps
// nothing.
TEST_CASE("grad cache: in amp_bf16 gradients in parts are as near to those of f32 as the batch's") {
  Clip model(two_blocks());
  const Gradients exact = gradients(begun(model), {});
  model.use({Precision::amp_bf16});
  const double whole = mean_distance(exact, gradients(model, {}));
  CHECK(whole > 1e-3);
  for (const int64_t K : {2, 3, 5, 11})
    CHECK(mean_distance(exact, gradients(model, {.accum_freq = K})) <= 1.2 * whole);
}

TEST_CASE("grad cache: pictures become f32 part by part") {
  Clip model(two_blocks());
  begun(model);
  const int64_t R = model.config().image_size();
  std::vector<uint8_t> bytes(static_cast<size_t>(kPairs * R * R * 3));
  PhiloxStream rng(1, 1);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(rng.next());
  const Tensor pixels = from_vector(bytes, {kPairs, R, R, 3});
  const Tensor table = pixel_table(model.config().preprocess);
  const Tensor whole = normalized(pixels, table);
  const Pictures pictures(pixels, table);
  CHECK(same_bits(pictures.part(0, kPairs), whole));
  CHECK(same_bits(pictures.part(3, 7), whole.slice(0, 3, 7).contiguous()));
  const Captions captions = random_pairs(model.config(), kPairs, 1).captions;
  CHECK(same_bits(accumulate_gradients(model, pictures, captions, {1, 3}),
                  accumulate_gradients(model, whole, captions, {1, 3})));
}

// A picture is normalised by those beside it, so its features depend on them.
TEST_CASE("grad cache: a ResNet's statistics are those of a part and move in the second pass") {
  Clip model(residual());
  begun(model);
  const Gradients whole = gradients(model, {});
  MESSAGE("ResNet, 11 pairs in 2 parts: gradients are off by ",
          distance(whole, gradients(model, {.accum_freq = 2})), " of a parameter's largest");
  // By hand: part by part, features alone move what they move in the second pass.
  const RandomPairs pairs = random_pairs(model.config(), kPairs, 1);
  for (const bool checkpointing : {false, true}) {
    Clip expected(residual()), found(residual());
    begun(expected);
    begun(found).set_checkpointing(checkpointing);
    for (const auto& [begin, end] : {std::pair{0, 4}, std::pair{4, 8}, std::pair{8, 11}})
      expected.encode_image(pairs.pixels.slice(0, begin, end));
    accumulate_gradients(found, pairs.pixels, pairs.captions, {1, 3});
    const auto a = expected.state(), b = found.state();
    for (size_t i = 0; i < a.size(); ++i) {
      CAPTURE(a[i].name);
      CHECK(same_bits(a[i].tensor.detach(), b[i].tensor.detach()));
      if (a[i].name == "visual.bn1.num_batches_tracked") CHECK(b[i].tensor.item() == 3);
    }
  }
  // Of statistics that stay as they are, nothing is left of the difference.
  model.lock_image();
  CHECK(distance(gradients(model, {}), gradients(model, {.accum_freq = 3})) <= 1e-5);
}

TEST_CASE("grad cache: parts of a batch, and what cannot be one") {
  CHECK(chunk_size(11, 1) == 11);
  CHECK(chunk_size(11, 2) == 6);
  CHECK(chunk_size(5, 4) == 2);
  CHECK(chunk_size(11, 11) == 1);
  CHECK(chunk_note(two_blocks(), 11, 1).empty());
  CHECK(contains(chunk_note(two_blocks(), 11, 2), "batch of 11 in 2 parts of 6 (the last has 5)"));
  CHECK(contains(chunk_note(two_blocks(), 5, 4), "in 3 parts of 2 (the last has 1)"));
  CHECK_FALSE(contains(chunk_note(two_blocks(), 12, 2), "batch norm"));
  CHECK(contains(chunk_note(residual(), 12, 2), "batch norms have the statistics of a part"));
  Clip model(two_blocks());
  begun(model);
  for (const int64_t K : {0, 12})
    CHECK(contains(error_of([&] { gradients(model, {.accum_freq = K}); }),
                   "step: a batch of 11 pairs cannot be worked through in " + std::to_string(K)));
}

TEST_CASE("grad cache: a run in parts that is resumed ends with the same bits") {
  const TempDir dir;
  TrainConfig config = squares_training();
  config.accum_freq = 3;
  config.dropout = 0.2;
  config.patch_dropout = 0.25;
  const std::string whole = train_squares(config, dir / "whole");
  CHECK(contains(get_file(dir / "whole/out.log"), "batch of 8 in 3 parts of 3 (the last has 2)"));
  train_squares(config, dir / "half");
  std::filesystem::remove_all(newest_checkpoint(dir / "half"));
  TrainConfig recomputing = config;
  recomputing.grad_checkpointing = true;
  CHECK(train_squares(recomputing, dir / "half", /*resume=*/true) == whole);
  TrainConfig other = config;
  other.accum_freq = 2;
  CHECK(train_squares(other, dir / "other") != whole);
}

// The part that is wrong is found as the whole batch would be.
TEST_CASE("grad cache: a step in parts that is not finite is named with its first bad gradient") {
  const TempDir dir;
  TrainConfig config = squares_training();
  config.accum_freq = 3;
  const std::string error = error_of(
      [&] { train_squares(config, dir / "run", false, Squares(64), blinded(tiny_config())); });
  CHECK(contains(error, "train: step 1: loss "));
  CHECK(contains(error, "; the first operator with a result that is not finite: "));
}
