// tests/test_checkpoint.cpp — recomputation in the backward pass must change memory and nothing
// else.
#include <doctest/doctest.h>

#include "autograd/ops.h"
#include "tensor/allocator.h"

using namespace diptych;

namespace {

using Values = std::vector<double>;

Values grad_of(const Tensor& x) { return grad(x).to_vector<double>(); }

Tensor weights() { return track(randn({3, 3}, {1, 0}, DType::f64)); }
Tensor input() { return randn({2, 3}, {2, 0}, DType::f64); }

Tensor block(const Tensor& x, const Tensor& w) { return x + tanh(matmul(x, w)); }

Tensor checkpointed(const Tensor& x, const Tensor& w) {
  return checkpoint([w](const Tensor& y) { return block(y, w); }, x);
}

}  // namespace

TEST_CASE("checkpoint: same values and gradients as the plain block, bit by bit") {
  const Tensor seed = randn({2, 3}, {3, 0}, DType::f64);
  const Tensor w = weights(), x = track(input()), plain_w = weights(), plain_x = track(input());
  const Tensor y = checkpointed(checkpointed(x, w), w);
  const Tensor plain = block(block(plain_x, plain_w), plain_w);
  CHECK(y.to_vector<double>() == plain.to_vector<double>());
  backward(y, seed);
  backward(plain, seed);
  CHECK(grad_of(x) == grad_of(plain_x));
  CHECK(grad_of(w) == grad_of(plain_w));
}

TEST_CASE("checkpoint: a block whose input needs no gradient still trains") {
  const Tensor w = weights(), plain_w = weights(), x = input();
  backward(checkpointed(x, w));
  backward(block(x, plain_w));
  CHECK(grad_of(w) == grad_of(plain_w));
  CHECK(!needs_grad(x));
}

TEST_CASE("checkpoint: blocks nest") {
  const Tensor w = weights(), x = track(input()), plain_w = weights(), plain_x = track(input());
  const auto inner = [w](const Tensor& y) { return checkpointed(checkpointed(y, w), w); };
  backward(checkpoint(inner, x));
  backward(block(block(plain_x, plain_w), plain_w));
  CHECK(grad_of(x) == grad_of(plain_x));
  CHECK(grad_of(w) == grad_of(plain_w));
}

TEST_CASE("checkpoint: recomputing() is true in the second run alone") {
  std::vector<bool> seen;
  const auto f = [&](const Tensor& x) {
    seen.push_back(recomputing());
    return x * 2;
  };
  const Tensor y = checkpoint(f, track(input()));
  CHECK(!recomputing());
  backward(y);
  CHECK(seen == std::vector<bool>{false, true});
  CHECK(!recomputing());
}

TEST_CASE("checkpoint: the flag is put back when the block throws") {
  bool broken = false;
  const auto f = [&](const Tensor& x) {
    check(!broken, "block: broken");
    return x * 2;
  };
  const Tensor y = checkpoint(f, track(input()));
  broken = true;
  CHECK_THROWS_WITH_AS(backward(y), "block: broken", Error);
  CHECK(!recomputing());
  CHECK(GradMode::enabled());
}

TEST_CASE("checkpoint: keeps the input and the result, not what lies between") {
  constexpr int64_t kBytes = 1 << 20;
  const auto deep = [](const Tensor& x) {
    Tensor y = x;
    for (int i = 0; i < 8; ++i) y = tanh(y);
    return y;
  };
  const Tensor x = track(zeros({kBytes / 4}));
  const int64_t before = allocator(Device::cpu).stats().live_bytes;
  const Tensor y = checkpoint(deep, x);
  CHECK(allocator(Device::cpu).stats().live_bytes - before <= kBytes + 65536);
}

TEST_CASE("checkpoint: an input overwritten in place is found") {
  Tensor x = input();
  const Tensor y = checkpointed(x, weights());
  x.fill_(0);
  CHECK_THROWS_WITH_AS(backward(y), doctest::Contains("checkpoint: a value saved"), Error);
}

TEST_CASE("checkpoint: a block that is the identity, or depends on nothing, is differentiated") {
  const Tensor x = track(input());
  backward(checkpoint([](const Tensor& y) { return y; }, x));
  CHECK(grad_of(x) == Values(6, 1.0));
  const Tensor z = track(input());
  backward(checkpoint([](const Tensor& y) { return y.detach() * 2; }, z) + z);
  CHECK(grad_of(z) == Values(6, 1.0));
}

TEST_CASE("checkpoint: a retained graph runs the block again") {
  const Tensor w = weights(), plain_w = weights();
  const Tensor y = checkpointed(input(), w);
  backward(y, {}, true);
  backward(y);
  for (int i = 0; i < 2; ++i) backward(block(input(), plain_w));
  CHECK(grad_of(w) == grad_of(plain_w));
}

TEST_CASE("checkpoint: nothing is recorded under NoGrad") {
  const NoGrad no_grad;
  CHECK(!needs_grad(checkpointed(track(input()), weights())));
}
