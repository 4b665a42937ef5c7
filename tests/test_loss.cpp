// tests/test_loss.cpp — losses of all pairs: in tiles as in one piece, with several right, by
// logistic regression; what they cannot fall below; what they take in memory.
#include <doctest/doctest.h>

#include <cmath>

#include "clip/loss.h"
#include "clip/weights/export.h"
#include "clip/weights/model_file.h"
#include "data/pairs.h"
#include "tensor/allocator.h"
#include "tensor/device.h"
#include "tests/files.h"

using namespace diptych;
using namespace diptych::test;

namespace {

struct Features {
  Tensor image, text, scale;
};

/// Random ones, of f64.
Features features(int64_t N, int64_t D, double s) {
  return {randn({N, D}, {1, 0}, DType::f64), randn({N, D}, {1, 1}, DType::f64),
          full({}, std::log(s), DType::f64)};
}

Features in(const Features& f, DType dtype) {
  return {f.image.to(dtype).clone(), f.text.to(dtype).clone(), f.scale.to(dtype).clone()};
}

/// The loss and its three gradients.
std::vector<Tensor> differentiated(const Features& from, const LossOptions& options) {
  const Features f = in(from, from.image.dtype());
  for (const Tensor& x : {f.image, f.text, f.scale}) track(x);
  const Tensor loss = contrastive_loss(f.image, f.text, f.scale, options);
  backward(loss);
  return {loss.detach(), grad(f.image), grad(f.text), grad(f.scale)};
}

/// The largest difference of each as a share of its largest value; of the loss as it is.
std::vector<double> differences(const std::vector<Tensor>& a, const std::vector<Tensor>& truth) {
  std::vector<double> all;
  for (size_t i = 0; i < a.size(); ++i) {
    const Tensor x = reshape(a[i].to(DType::f64), {-1}), y = reshape(truth[i], {-1});
    const double most = i == 0 ? 1 : std::max(max(abs(y), 0).item(), 1e-12);
    all.push_back(max(abs(x - y), 0).item() / most);
  }
  return all;
}

void check_tiles(const Features& f, double f64_bound, double f32_bound) {
  const int64_t N = f.image.dim(0);
  const std::vector<Tensor> plain = differentiated(f, {});
  for (const int64_t tile : {int64_t{1}, int64_t{7}, int64_t{64}, N}) {
    CAPTURE(N);
    CAPTURE(tile);
    for (const double d : differences(differentiated(f, {{}, tile}), plain)) CHECK(d < f64_bound);
    for (const double d : differences(differentiated(in(f, DType::f32), {{}, tile}), plain))
      CHECK(d < f32_bound);
  }
}

/// Rows of f64 made `times` as long, one after the other.
Tensor lengthened(const Tensor& x, double times) {
  std::vector<double> factors;
  for (int64_t i = 0; i < x.dim(0); ++i)
    factors.push_back(i % 3 == 0 ? times : i % 3 == 1 ? 1 : 1 / times);
  return x * from_vector(factors, {x.dim(0), 1});
}

}  // namespace

// f32 has 24 bits and logits of up to 100: 100 2^-24 = 6e-6, and what sums add to it.
TEST_CASE("loss: in tiles as in one piece") {
  for (const int64_t N : {2, 3, 8, 65, 130}) check_tiles(features(N, 16, 14.3), 1e-10, 4e-5);
  check_tiles(features(65, 16, 100), 1e-10, 2e-4);
}

TEST_CASE("loss: in tiles as in one piece where captions repeat and lengths differ") {
  Features f = features(65, 16, 14.3);
  f.image = lengthened(f.image, 4096);
  f.text = lengthened(f.text, 1.0 / 4096);
  f.text.slice(0, 30, 40).copy_(f.text.slice(0, 0, 10));
  check_tiles(f, 1e-10, 4e-5);
}

// What is left of the gradient is what rounding leaves of sums of N terms of size s / N.
TEST_CASE("loss: where all features are alike it is ln N and has no gradient") {
  for (const double s : {1.0, 14.3, 100.0}) {
    const int64_t N = 70;
    const Tensor alike = full({N, 8}, 0.5);
    const auto out = differentiated({alike, alike, full({}, std::log(s))}, {{}, 16});
    CHECK(out[0].item() == doctest::Approx(std::log(70.0)).epsilon(1e-6 * s));
    for (const int i : {1, 2}) CHECK(max(abs(reshape(out[i], {-1})), 0).item() < 1e-7 * s);
    CHECK(std::fabs(out[3].item()) < 2e-6 * s);
  }
}

TEST_CASE("loss: batches above the largest tile are worked through in tiles by themselves") {
  const Features f = in(features(kLossTile + 3, 4, 14.3), DType::f32);
  const auto by_itself = differentiated(f, {}), asked = differentiated(f, {{}, kLossTile});
  for (size_t i = 0; i < asked.size(); ++i) CHECK(same_bits(by_itself[i], asked[i]));
}

TEST_CASE("loss: the memory of tiles grows with the rows and not with their square") {
  CachingAllocator& memory = allocator(Device::cpu);
  const auto taken = [&](int64_t N) {
    const Features f = in(features(N, 8, 14.3), DType::f32);
    memory.reset_peak();
    const int64_t before = memory.stats().live_bytes;
    differentiated(f, {{}, 64});
    return memory.stats().peak_bytes - before;
  };
  const int64_t once = taken(2048), twice = taken(4096);
  CHECK(twice < int64_t{2048} * 2048 * 4);
  CHECK(twice < once * 2.2);
}

TEST_CASE("loss: labels that all differ change nothing, and rows that share one share the target") {
  const Features f = features(9, 5, 14.3);
  const Tensor distinct = arange(9);
  const auto plain = differentiated(f, {});
  for (const double d : differences(differentiated(f, {distinct}), plain)) CHECK(d < 1e-12);

  // Pictures 0 and 2 have one caption: the mean of the cross-entropies against either.
  const Features small = features(3, 4, 5);
  const Tensor x = logits_per_image(small.image, small.text, small.scale);
  const Tensor rows = log_softmax(x), columns = transpose(log_softmax(transpose(x, 0, 1)), 0, 1);
  const Tensor both = rows + columns;
  const auto at = [&](int64_t i, int64_t j) { return both[i][j].item(); };
  const double shared = (at(0, 0) + at(0, 2) + at(2, 0) + at(2, 2)) / 2;
  const Tensor label = from_vector<int64_t>({7, -1, 7}, {3});
  CHECK(contrastive_loss(small.image, small.text, small.scale, {label}).item() ==
        doctest::Approx(-(shared + at(1, 1)) / 6).epsilon(1e-12));
}

TEST_CASE("sigmoid loss: each pair by itself, by hand") {
  const Tensor image = from_vector<double>({3, 4, 1, 0}, {2, 2}),
               text = from_vector<double>({0, 2, 1, 1}, {2, 2});
  const double s = 3, b = -1, h = std::sqrt(0.5);
  const auto lost = [=](double cosine, double y) {
    return std::log1p(std::exp(-y * (s * cosine + b)));
  };
  const Tensor scale = full({}, std::log(s), DType::f64), bias = full({}, b, DType::f64);
  const double own = lost(0.8, 1) + lost(h, 1), others = lost(1.4 * h, -1) + lost(0, -1);
  CHECK(sigmoid_loss(image, text, scale, bias).item() ==
        doctest::Approx((own + others) / 2).epsilon(1e-12));
  const Tensor label = from_vector<int64_t>({4, 4}, {2});
  const double all = own + lost(1.4 * h, 1) + lost(0, 1);
  CHECK(sigmoid_loss(image, text, scale, bias, {label}).item() ==
        doctest::Approx(all / 2).epsilon(1e-12));
}

TEST_CASE("loss bounds: what a constant and what perfect features come to") {
  const std::vector<int64_t> a = {1, 3, 9}, b = {1, 4, 9};
  const Captions captions = pack({a, b, a, a});
  const Tensor zero = zeros({4, 2}, DType::f64), scale = full({}, 0, DType::f64);
  // With all logits alike the best constant is that of the share of right pairs.
  const auto at = [&](double share, const Tensor& label) {
    const Tensor bias = full({}, std::log(share / (1 - share)), DType::f64);
    return contrastive_sigmoid(zero, zero, full({}, 1, DType::f64), bias, label).item();
  };
  CHECK(loss_bounds(captions, {}, true).chance == doctest::Approx(at(0.25, {})));
  const Tensor label = from_vector<int64_t>({0, 1, 0, 0}, {4});
  CHECK(loss_bounds(captions, label, true).chance == doctest::Approx(at(10.0 / 16, label)));
  CHECK(loss_bounds(captions, label, true).floor == 0);
  CHECK(loss_bounds(captions, {}, false).chance == doctest::Approx(std::log(4.0)));
  // Of nine pairs that look alike three are right.
  const double share = 1.0 / 3;
  const double nine = -9 * (share * std::log(share) + (1 - share) * std::log(1 - share));
  CHECK(loss_bounds(captions, {}, true).floor == doctest::Approx(nine / 4));
}

TEST_CASE("positives: by caption, by the picture's path, or none") {
  PairList pairs("folder/");
  pairs.add("a.png", "one");
  pairs.add("b.png", "two");
  pairs.add("b.png", "one");
  const PairDataset dataset(std::move(pairs), Preprocess{}, 0, false);
  Batch batch;
  batch.captions = pack({{1, 3, 9}, {1, 4, 9}, {1, 3, 9}});
  batch.indices = {0, 1, 2};
  const auto labels = [&](Positives p) {
    return positive_labels(p, batch, dataset).to_vector<int64_t>();
  };
  CHECK(!positive_labels(Positives::none, batch, dataset).defined());
  CHECK(labels(Positives::caption) == std::vector<int64_t>{0, 1, 0});
  CHECK(labels(Positives::key) == std::vector<int64_t>{0, 1, 1});
  CHECK(positives_from("caption") == Positives::caption);
  CHECK(contains(error_of([] { positives_from("both"); }), "known: none, caption, key"));
}

TEST_CASE("models with a bias: files, precisions and open_clip's folder keep it") {
  ModelConfig config = preset("tiny");
  config.logit_bias = true;
  CHECK(model_config_from_json(to_json(config)).logit_bias);
  Clip model(config);
  model.initialize(0);
  CHECK(std::exp(model.logit_scale().item()) == doctest::Approx(10));
  CHECK(model.logit_bias().item() == -10);
  Tensor bias = model.logit_bias();
  bias.fill_(-9.87654321);
  PrecisionConfig pure;
  pure.precision = Precision::pure_bf16;
  model.use(pure);
  CHECK(model.logit_bias().dtype() == DType::f32);
  CHECK(model.logit_bias().item() == static_cast<double>(-9.87654321f));
  model.use({});
  const TempDir dir;
  export_open_clip(dir / "theirs", model);
  const auto again = load_model(dir / "theirs");
  CHECK(again.model->logit_bias().item() == model.logit_bias().item());
  CHECK(contains(error_of([&] { export_hugging_face(dir / "hf", model, nullptr); }),
                 "the bias of a sigmoid loss"));
}
