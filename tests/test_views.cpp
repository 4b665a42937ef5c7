// tests/test_views.cpp — impossible shapes, copies between views of one array, counting.
#include <doctest/doctest.h>

#include "tensor/factory.h"

namespace diptych::test {
namespace {

using Values = std::vector<double>;

Values values(const Tensor& x) { return x.to_vector<double>(); }

}  // namespace

TEST_CASE(
    "tensor: a shape whose size does not fit in 64 bits is refused, also where it wraps to 0") {
  constexpr int64_t kHuge = int64_t{1} << 32;
  CHECK_THROWS_WITH_AS(empty({kHuge, kHuge}), "empty: impossible shape (4294967296, 4294967296)",
                       Error);
  CHECK_THROWS_AS(zeros({0}).view({kHuge, kHuge}), Error);
  CHECK_THROWS_AS(zeros({0}).view({kHuge, kHuge, 0}), Error);
  CHECK_THROWS_AS(zeros({1, 1}).expand({kHuge, kHuge}), Error);
  CHECK_THROWS_AS(from_vector<float>({}, {kHuge, kHuge}), Error);
  CHECK_THROWS_WITH_AS(Tensor(nullptr, DType::f32, {-1}, {1}, 0), "tensor: impossible shape (-1)",
                       Error);
}

TEST_CASE("tensor: copy_ between overlapping views reads everything before it writes") {
  Tensor x = arange(6);
  x.slice(0, 1, 6).copy_(x.slice(0, 0, 5));
  CHECK(values(x) == Values{0, 0, 1, 2, 3, 4});
  x = arange(6);
  x.slice(0, 0, 5).copy_(x.slice(0, 1, 6));
  CHECK(values(x) == Values{1, 2, 3, 4, 5, 5});
  x = arange(9).view({3, 3});
  x.copy_(x.transpose(0, 1));
  CHECK(values(x) == Values{0, 3, 6, 1, 4, 7, 2, 5, 8});
  x.slice(1, 1, 3).copy_(x.slice(1, 0, 1).expand({3, 2}));
  CHECK(values(x) == Values{0, 0, 0, 1, 1, 1, 2, 2, 2});
  x = arange(100000);
  x.slice(0, 1, 100000).copy_(x.slice(0, 0, 99999));
  CHECK(values(x)[99999] == 99998);
}

TEST_CASE("tensor: an element of a tensor is a view, whatever the strides") {
  Tensor x = zeros({2, 3});
  x[1].fill_(5);
  x.transpose(0, 1)[-1].fill_(7);
  CHECK(values(x) == Values{0, 0, 7, 5, 5, 7});
  CHECK(x[0][2].rank() == 0);
  CHECK(x.select(-1, 0).shape() == Shape{2});
}

TEST_CASE("tensor: copy_ into a view that repeats elements is refused") {
  Tensor x = zeros({3, 1}), repeated = x.expand({3, 2});
  CHECK_THROWS_WITH_AS(
      repeated.copy_(zeros({3, 2})),
      "copy_: the destination (3, 2) repeats elements along axis 1; clone() it first", Error);
  zeros({0, 3}).copy_(zeros({0, 3}));
  x.expand({3, 1}).copy_(full({3, 1}, 2));
  CHECK(values(x) == Values{2, 2, 2});
}

TEST_CASE("tensor: arange counts in every dtype and refuses what is no count") {
  for (DType dtype : {DType::f32, DType::f64, DType::f16, DType::bf16, DType::i64, DType::u8}) {
    CHECK(values(arange(5, dtype)) == Values{0, 1, 2, 3, 4});
    CHECK(arange(5, dtype).dtype() == dtype);
    CHECK(arange(0, dtype).shape() == Shape{0});
  }
  CHECK(values(arange(70001))[70000] == 70000);
  CHECK(values(arange(256, DType::u8))[255] == 255);
  CHECK_THROWS_WITH_AS(arange(-1), "arange: needs a count of elements, got -1", Error);
  CHECK_THROWS_WITH_AS(arange(int64_t{1} << 62),
                       "arange: needs a count of elements, got 4611686018427387904", Error);
  CHECK_THROWS_WITH_AS(arange(257, DType::u8), "arange: u8 ends at 255, below 257 - 1", Error);
}

}  // namespace diptych::test
