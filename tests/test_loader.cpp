// tests/test_loader.cpp — the shuffled order and the loader.
#include <doctest/doctest.h>

#include <atomic>
#include <functional>
#include <set>

#include "data/loader.h"
#include "data/permutation.h"
#include "tensor/factory.h"
#include "tests/files.h"

using namespace diptych;
using namespace diptych::test;

namespace {

// Picture i is (1, 2, 1) and holds i and the epoch, modulo 256; the caption is i times the letter
// a.
class Counting : public Dataset {
 public:
  explicit Counting(int64_t n) : n_(n) {}
  int64_t size() const override { return n_; }
  Example get(int64_t index, int64_t epoch) const override {
    if (on_get) on_get(index);
    return {
        from_vector(std::vector<uint8_t>{static_cast<uint8_t>(index), static_cast<uint8_t>(epoch)},
                    {1, 2, 1}),
        std::string(static_cast<size_t>(index % 7), 'a'), index % 3};
  }
  std::string name_of(int64_t index) const override { return "number " + std::to_string(index); }

  std::function<void(int64_t)> on_get;

 private:
  int64_t n_;
};

const Tokenizer& letters() {
  static const Tokenizer tokenizer = Tokenizer::from_merges("#version\n");
  return tokenizer;
}

template <class T>
std::vector<T> values(const Tensor& x) {
  return {x.data<T>(), x.data<T>() + x.numel()};
}

// Everything in a batch, comparable.
struct Content {
  std::vector<uint8_t> pixels;
  std::vector<int64_t> tokens, ends, indices, labels;
  bool operator==(const Content&) const = default;
};

std::vector<Content> epoch_of(Loader& loader, int64_t epoch, int64_t first = 0) {
  std::vector<Content> all;
  loader.start(epoch, first);
  while (const auto batch = loader.next())
    all.push_back({values<uint8_t>(batch->pixels), values<int64_t>(batch->captions.tokens),
                   batch->captions.layout.ends(), batch->indices, batch->labels});
  return all;
}

std::vector<int64_t> order_of(const std::vector<Content>& batches) {
  std::vector<int64_t> order;
  for (const Content& batch : batches)
    order.insert(order.end(), batch.indices.begin(), batch.indices.end());
  return order;
}

}  // namespace

TEST_CASE("permutation: a bijection for every size, different for every seed and epoch") {
  for (int64_t n : {1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 63, 64, 65, 100, 1000, 4097}) {
    CAPTURE(n);
    const Permutation order(n, 42, 1);
    std::vector<bool> seen(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i) {
      const int64_t image = order(i);
      REQUIRE(image >= 0);
      REQUIRE(image < n);
      REQUIRE_FALSE(seen[static_cast<size_t>(image)]);
      seen[static_cast<size_t>(image)] = true;
    }
  }
  const Permutation a(1000, 1, 0), b(1000, 1, 1), c(1000, 2, 0);
  int equal = 0, fixed = 0;
  for (int64_t i = 0; i < 1000; ++i) {
    equal += (a(i) == b(i)) + (a(i) == c(i));
    fixed += a(i) == i;
  }
  CHECK(equal < 20);
  CHECK(fixed < 10);
}

TEST_CASE("permutation: every place is equally likely for the first index") {
  std::vector<int> count(10);
  for (uint64_t seed = 0; seed < 10'000; ++seed)
    ++count[static_cast<size_t>(Permutation(10, seed, 0)(0))];
  for (int c : count) CHECK(std::abs(c - 1000) < 150);  // five standard deviations
}

TEST_CASE("loader: the same bits for any number of workers, each index once") {
  const Counting data(103);
  LoaderOptions options{.batch_size = 10, .workers = 0, .seed = 5, .context_length = 6};
  Loader in_line(data, letters(), options);
  const auto expected = epoch_of(in_line, 2);
  REQUIRE(expected.size() == 11);
  CHECK(expected.back().indices.size() == 3);
  std::set<int64_t> seen;
  for (const Content& batch : expected) seen.insert(batch.indices.begin(), batch.indices.end());
  CHECK(seen.size() == 103);
  for (int workers : {1, 4}) {
    options.workers = workers;
    Loader loader(data, letters(), options);
    CHECK(epoch_of(loader, 2) == expected);
    CHECK(epoch_of(loader, 2, 7) == std::vector<Content>(expected.begin() + 7, expected.end()));
    CHECK(order_of(epoch_of(loader, 3)) != order_of(expected));
    CHECK(epoch_of(loader, 2, 11).empty());
    CHECK(loader.next() == std::nullopt);
  }
}

TEST_CASE("loader: captions are packed with their layout, long ones cut and counted") {
  const Counting data(7);
  Loader loader(data, letters(),
                {.batch_size = 7, .workers = 0, .context_length = 6, .shuffle = false});
  loader.start(0);
  const Batch batch = *loader.next();
  CHECK(batch.pixels.shape() == Shape{7, 1, 2, 1});
  CHECK(batch.captions.layout.ends() == std::vector<int64_t>{0, 2, 5, 9, 14, 20, 26, 32});
  CHECK(batch.truncated == 2);
  CHECK(batch.texts[2] == "aa");
  CHECK(batch.labels == std::vector<int64_t>{0, 1, 2, 0, 1, 2, 0});
  const int64_t a = 'a' - 33, end = 513;
  const auto tokens = values<int64_t>(batch.captions.tokens);
  CHECK(std::vector<int64_t>(tokens.begin() + 2, tokens.begin() + 9) ==
        std::vector<int64_t>{512, a + 256, end, 512, a, a + 256, end});
  CHECK(tokens.back() == end);
  Loader strict(data, letters(),
                {.batch_size = 7, .context_length = 6, .overflow = Overflow::error});
  strict.start(0);
  CHECK_THROWS_WITH_AS(strict.next(), doctest::Contains("--truncate"), Error);
}

TEST_CASE("loader: a damaged sample is left out and named, other exceptions come out of next") {
  Counting data(20);
  data.on_get = [](int64_t index) {
    if (index == 4) fail("image: 'four': truncated");
    if (index == 17) throw std::runtime_error("out of disks");
  };
  for (int workers : {0, 3}) {
    Loader loader(data, letters(), {.batch_size = 5, .workers = workers, .shuffle = false});
    loader.start(0);
    const Batch batch = *loader.next();
    CHECK(batch.indices == std::vector<int64_t>{0, 1, 2, 3});
    CHECK(batch.pixels.dim(0) == 4);
    CHECK(batch.labels == std::vector<int64_t>{0, 1, 2, 0});
    CHECK(batch.texts == std::vector<std::string>{"", "a", "aa", "aaa"});
    REQUIRE(batch.bad.size() == 1);
    CHECK(batch.bad[0].index == 4);
    CHECK(batch.bad[0].name == "number 4");
    CHECK(batch.bad[0].reason == "image: 'four': truncated");
    CHECK(loader.next()->bad.empty());
    CHECK(loader.next()->indices.size() == 5);
    CHECK_THROWS_WITH_AS(loader.next(), "out of disks", std::runtime_error);
    CHECK_FALSE(loader.next().has_value());
  }
}

TEST_CASE("loader: in training a batch keeps its size, the tail stands in for damaged samples") {
  Counting data(23);  // four batches of five, a tail of three
  data.on_get = [](int64_t index) { check(index != 4 && index != 11, "broken"); };
  const auto epoch = [&](int workers, bool shuffle) {
    Loader loader(data, letters(),
                  {.batch_size = 5, .workers = workers, .shuffle = shuffle, .drop_last = true});
    return epoch_of(loader, 0);
  };
  const std::vector<Content> batches = epoch(0, false);
  CHECK(batches[0].indices == std::vector<int64_t>{0, 1, 2, 3, 20 + 4 % 3});
  CHECK(batches[2].indices == std::vector<int64_t>{10, 20 + 11 % 3, 12, 13, 14});
  CHECK(epoch(3, false) == batches);
  for (const Content& batch : epoch(3, true)) CHECK(batch.indices.size() == 5);
  CHECK(epoch(0, true) == epoch(3, true));
}

TEST_CASE("loader: without a tail the same place of a later batch stands in") {
  Counting data(12);
  data.on_get = [](int64_t index) { check(index != 1 && index != 5, "broken"); };
  Loader loader(data, letters(),
                {.batch_size = 4, .workers = 0, .shuffle = false, .drop_last = true});
  const std::vector<Content> batches = epoch_of(loader, 0);
  CHECK(batches[0].indices == std::vector<int64_t>{0, 9, 2, 3});
  CHECK(batches[1].indices == std::vector<int64_t>{4, 9, 6, 7});
  loader.start(0);
  CHECK(loader.next()->bad.size() == 2);  // 1, and 5 that was tried in its place
}

TEST_CASE("loader: a batch that nothing can fill is an error that names a sample") {
  Counting data(9);
  data.on_get = [](int64_t) { fail("broken"); };
  Loader loader(data, letters(), {.batch_size = 4, .workers = 1, .drop_last = true});
  loader.start(0);
  CHECK_THROWS_WITH_AS(loader.next(), doctest::Contains("cannot be filled"), Error);
}

TEST_CASE("loader: a batch of nothing but damage is empty") {
  Counting data(4);
  data.on_get = [](int64_t) { fail("broken"); };
  Loader loader(data, letters(), {.batch_size = 4, .workers = 1});
  loader.start(0);
  const Batch batch = *loader.next();
  CHECK(batch.indices.empty());
  CHECK_FALSE(batch.pixels.defined());
  CHECK(batch.captions.layout.ends() == std::vector<int64_t>{0});
  CHECK(batch.bad.size() == 4);
}

TEST_CASE("loader: ranks share every step without overlap") {
  const Counting data(50);
  LoaderOptions options{.batch_size = 4, .workers = 1, .seed = 3, .drop_last = true, .ranks = 3};
  std::vector<std::vector<Content>> parts;
  for (options.rank = 0; options.rank < 3; ++options.rank) {
    Loader loader(data, letters(), options);
    CHECK(loader.batches() == 4);
    parts.push_back(epoch_of(loader, 0));
  }
  Loader whole(data, letters(), {.batch_size = 12, .workers = 1, .seed = 3, .drop_last = true});
  const auto steps = epoch_of(whole, 0);
  for (size_t step = 0; step < 4; ++step) {
    std::vector<int64_t> joined;
    for (const auto& part : parts)
      joined.insert(joined.end(), part[step].indices.begin(), part[step].indices.end());
    CHECK(joined == steps[step].indices);
  }
}

TEST_CASE("loader: it stops in the middle of an epoch, and prefetch bounds how far it runs ahead") {
  Counting data(1000);
  std::atomic<int> loaded = 0;
  data.on_get = [&](int64_t) { ++loaded; };
  {
    Loader loader(data, letters(), {.batch_size = 10, .workers = 4, .prefetch = 3});
    loader.start(0);
    CHECK(loader.next().has_value());
    loader.start(1);  // drops the epoch under way
    CHECK(loader.next().has_value());
    CHECK(loader.wait_seconds() >= 0);
  }
  CHECK(loaded <= 2 * (1 + 3 + 4) * 10);
  const Loader unused(data, letters(), {.workers = 2});
}

TEST_CASE("loader: impossible options are refused") {
  const Counting data(10);
  const auto error = [&](const LoaderOptions& options) {
    return error_of([&] { Loader(data, letters(), options); });
  };
  CHECK(contains(error({.batch_size = 0}), "batch size"));
  CHECK(contains(error({.batch_size = 11, .drop_last = true}), "do not fill one batch"));
  CHECK(contains(error({.workers = -1}), "workers"));
  CHECK(contains(error({.prefetch = 0}), "prefetch"));
  CHECK(contains(error({.rank = 1, .ranks = 1}), "rank 1 of 1"));
  CHECK(contains(error_of([] { Loader(Counting(0), letters(), {}); }), "empty"));
  Loader loader(data, letters(), {});
  CHECK_THROWS_AS(loader.start(0, 2), Error);
}

TEST_CASE("loader: pictures of different sizes in one batch are refused by name") {
  class Mixed : public Counting {
   public:
    Mixed() : Counting(2) {}
    Example get(int64_t index, int64_t) const override {
      return {from_vector(std::vector<uint8_t>(static_cast<size_t>(index + 1)), {1, index + 1, 1}),
              ""};
    }
  };
  const Mixed data;
  Loader loader(data, letters(), {.workers = 1, .shuffle = false});
  loader.start(0);
  CHECK_THROWS_WITH_AS(loader.next(), doctest::Contains("'number 1' is (1, 2, 1)"), Error);
}
