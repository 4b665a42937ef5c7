// tests/test_graph.cpp — facts about the engine: what is recorded, kept, freed, added and refused.
#include <doctest/doctest.h>

#include <thread>

#include "autograd/graph.h"
#include "autograd/ops.h"
#include "tensor/allocator.h"
#include "tests/files.h"
#include "tests/tape.h"

using namespace diptych;
using diptych::test::f64;
using diptych::test::grad_of;
using diptych::test::leaf;
using diptych::test::Values;

namespace {

int64_t live_bytes() { return allocator(Device::cpu).stats().live_bytes; }

// A node whose derivative is whatever the test says.
Tensor custom(const char* op, const Tensor& y, const std::vector<Tensor>& inputs, Backward f) {
  return record(op, y, inputs, std::move(f));
}

}  // namespace

TEST_CASE("graph: a leaf used twice by one operator gets both contributions") {
  const Tensor x = leaf({3, -2});
  backward(x * x);
  CHECK(grad_of(x) == Values{6, -4});
  const Tensor y = leaf({3, -2});
  backward(y + y);
  CHECK(grad_of(y) == Values{2, 2});
}

TEST_CASE("graph: the gradient of nothing, repeated endlessly, is zero and takes no memory") {
  const Tensor x = full({}, 2);
  track(x);
  backward(expand(x, {0, int64_t{1} << 40, 3}));
  CHECK(grad(x).item() == 0);
}

TEST_CASE("graph: a weight used in two places gets the sum") {
  const Tensor w = leaf({2}), x = f64({5});
  backward(w * (w * x + 1) + w);  // 2 w x + 1 + 1
  CHECK(grad_of(w) == Values{22});
}

TEST_CASE("graph: a value that two operators consume is differentiated once") {
  int runs = 0;
  const Tensor x = leaf({1, 2});
  const Tensor h = custom("twice", x.detach() * 2, {x}, [&](const Tensor& g) -> Grads {
    ++runs;
    return {g * 2};
  });
  backward(exp(h * 0) + h + h * h);  // h → 1 + 2 h
  CHECK(runs == 1);
  CHECK(grad_of(x) == Values{10, 18});
}

TEST_CASE("graph: the gradient of a broadcast operand is summed to its shape") {
  const Tensor a = track(full({3, 1}, 1, DType::f64)), b = track(full({4}, 2, DType::f64));
  backward(a * b, from_vector<double>({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, {3, 4}));
  CHECK(grad(a).shape() == Shape{3, 1});
  CHECK(grad_of(a) == Values{12, 44, 76});
  CHECK(grad_of(b) == Values{12, 15, 18, 21});
}

TEST_CASE("graph: a broadcast to nothing sums to zero") {
  const Tensor a = track(full({1, 2}, 1, DType::f64));
  backward(a + zeros({0, 2}, DType::f64));
  CHECK(grad_of(a) == Values{0, 0});
}

TEST_CASE("graph: a chain of a million nodes is differentiated and destroyed without recursion") {
  const Tensor x = leaf({1});
  for (bool run : {true, false}) {
    Tensor y = x;
    for (int i = 0; i < 1000000; ++i) {
      y = custom("step", y.detach(), {y}, [](const Tensor& g) -> Grads { return {g}; });
    }
    if (run) backward(y);
  }
  CHECK(grad_of(x) == Values{1});
}

TEST_CASE("graph: a wide graph that shares its nodes is destroyed once") {
  const Tensor x = leaf({1});
  Tensor y = x;
  for (int i = 0; i < 40; ++i) y = y + y;  // 2⁴⁰ paths
  backward(y);
  CHECK(grad_of(x) == Values{0x1p40});
}

TEST_CASE("graph: activations are freed as backward passes them") {
  constexpr int64_t kBytes = 1 << 20;
  const int64_t before = live_bytes();
  const Tensor x = track(full({kBytes / 8}, 0.5, DType::f64));
  Tensor y = x;
  int64_t at_first = 0, at_last = 0;
  for (int i = 0; i < 8; ++i) {
    y = custom("probe", y, {y}, [&, i](const Tensor& g) -> Grads {
      (i == 7 ? at_first : at_last) = i == 7 || i == 0 ? live_bytes() : at_last;
      return {g};
    });
    y = sigmoid(y);
  }
  backward(y);
  CHECK(at_first - at_last >= 6 * kBytes);
  y = Tensor();
  CHECK(live_bytes() - before <= 2 * kBytes + 4096);  // x and its gradient
}

TEST_CASE("graph: an operator keeps only what its derivative needs") {
  constexpr int64_t kBytes = 1 << 20;
  const Tensor x = track(zeros({kBytes / 4}));
  const int64_t before = live_bytes();
  Tensor y = x * 0.5 + 1.0;
  for (int i = 0; i < 4; ++i) y = (-y) * 0.5 - 1.0;  // linear: nothing to keep
  CHECK(live_bytes() - before <= kBytes + 65536);
}

TEST_CASE("graph: nothing is recorded without a tracked input or under NoGrad") {
  const Tensor x = leaf({1});
  CHECK(!needs_grad(f64({1}) * 2));
  CHECK(needs_grad(x * 2));
  {
    const NoGrad no_grad;
    CHECK(!GradMode::enabled());
    CHECK(!needs_grad(x * 2));
    {
      const GradMode on(true);
      CHECK(needs_grad(x * 2));
    }
    CHECK(!GradMode::enabled());
  }
  CHECK(GradMode::enabled());
  CHECK(!needs_grad(x.detach() * 2));
}

TEST_CASE("graph: derivatives run without recording") {
  const Tensor x = leaf({1});
  bool recording = true;
  backward(custom("probe", x.detach(), {x}, [&](const Tensor& g) -> Grads {
    recording = GradMode::enabled();
    return {g};
  }));
  CHECK(!recording);
  CHECK(GradMode::enabled());
  CHECK(!needs_grad(grad(x)));
}

TEST_CASE("graph: each thread has a grad mode of its own") {
  const NoGrad no_grad;
  bool there = false;
  std::thread([&] {
    there = GradMode::enabled();
    const NoGrad inner;
  }).join();
  CHECK(there);
  CHECK(!GradMode::enabled());
}

TEST_CASE("graph: a second backward pass over a freed graph is refused by name") {
  const Tensor x = leaf({1});
  const Tensor y = tanh(x);
  backward(y);
  CHECK_THROWS_WITH_AS(backward(y),
                       "tanh: backward ran through this graph before and freed it; "
                       "pass retain = true the first time to keep it",
                       Error);
}

TEST_CASE("graph: a retained graph can be used again") {
  const Tensor x = leaf({3});
  const Tensor y = x * x;
  backward(y, {}, true);
  backward(y, {}, true);
  backward(y);
  CHECK(grad_of(x) == Values{18});
}

TEST_CASE("graph: a saved value that was overwritten in place is found, by name") {
  const Tensor x = leaf({1, 2});
  Tensor h = x * 2;
  const Tensor y = h * h;
  h.fill_(0);
  CHECK_THROWS_WITH_AS(backward(y),
                       "mul: a value saved for the gradient was overwritten in place (saved at "
                       "version 0, now at 1); clone() it before writing",
                       Error);
  Tensor e = exp(x);  // saves its own output
  e.slice(0, 0, 1).fill_(7);
  CHECK_THROWS_AS(backward(e), Error);
}

TEST_CASE("graph: overwriting what no derivative needs is allowed") {
  const Tensor x = leaf({1, 2});
  Tensor h = x * 2;
  const Tensor y = h + 1;
  h.fill_(0);
  backward(y);
  CHECK(grad_of(x) == Values{2, 2});
}

TEST_CASE("graph: the seed must look like the result") {
  const Tensor x = leaf({1, 2});
  CHECK_THROWS_WITH_AS(backward(x * 2, f64({1})),
                       "backward: seed (1) must have the shape of the result, (2)", Error);
  CHECK_THROWS_WITH_AS(
      backward(x * 2, zeros({2})),
      "backward: the seed must have the dtype and device of the result, f64 on cpu", Error);
  backward(x * 2, f64({3, 5}));
  CHECK(grad_of(x) == Values{6, 10});
}

TEST_CASE("graph: a seed in any layout is left as it was") {
  const Tensor x = track(zeros({2, 3}, DType::f64));
  const Tensor seed = from_vector<double>({1, 2, 3, 4, 5, 6}, {3, 2}).transpose(0, 1);
  backward(x + x, seed);
  backward(x, seed);
  CHECK(grad_of(x) == Values{3, 9, 15, 6, 12, 18});
  CHECK(seed.to_vector<double>() == Values{1, 3, 5, 2, 4, 6});
}

TEST_CASE("graph: a result without history has no gradient to give") {
  const char* text = "backward: the result does not depend on any tracked tensor";
  CHECK_THROWS_WITH_AS(backward(f64({1})), text, Error);
  CHECK_THROWS_WITH_AS(backward(Tensor()), text, Error);
  CHECK_THROWS_AS(grad(f64({1})), Error);
  CHECK_THROWS_AS(add_hook(f64({1}), {}), Error);
}

TEST_CASE("graph: a branch whose consumers return nothing is passed over") {
  const Tensor x = leaf({1});
  const Tensor h = exp(x);
  const Tensor z =
      custom("stop", h.detach(), {h}, [](const Tensor&) -> Grads { return {Tensor()}; });
  backward(z + x);
  CHECK(grad_of(x) == Values{1});
}

TEST_CASE("graph: a derivative of the wrong shape or count is refused by name") {
  const Tensor x = leaf({1, 2});
  const Tensor shape = custom("bent", x.detach(), {x},
                              [](const Tensor&) -> Grads { return {zeros({3}, DType::f64)}; });
  CHECK_THROWS_WITH_AS(backward(shape),
                       "bent: returned a gradient of shape (3) for an input of shape (2)", Error);
  const Tensor count = custom("long", x.detach(), {x}, [](const Tensor& g) -> Grads {
    return {g, g};
  });
  CHECK_THROWS_WITH_AS(backward(count), "long: backward returned 2 gradients for 1 inputs", Error);
}

TEST_CASE("graph: what collects wide gets sums in that dtype, of narrower gradients too") {
  const Tensor w = track(full({1}, 3, DType::f32));
  const Tensor narrow = cast(w, DType::bf16);
  CHECK(gradient_dtype(narrow) == DType::bf16);
  collect_wide(narrow, DType::f32);
  CHECK(gradient_dtype(narrow) == DType::f32);
  CHECK(gradient_dtype(reshape(narrow, {1, 1})) == DType::f32);
  // 256 and 1 have no sum in bf16.
  const Tensor y = narrow * full({1}, 256, DType::bf16) + narrow * full({1}, 1, DType::bf16);
  backward(y);
  CHECK(grad(w).item() == 257);
  CHECK(test::contains(test::error_of([&] { collect_wide(w * 1, DType::bf16); }),
                       "bf16 is narrower than f32"));
  collect_wide(full({1}, 1), DType::f64);  // without a history nothing is collected
}

TEST_CASE("graph: a gradient of another dtype than its input, even the first, is refused by name") {
  const Tensor x = leaf({1, 2});
  const Tensor y = custom("narrow", x.detach(), {x},
                          [](const Tensor& g) -> Grads { return {g.to(DType::f32)}; });
  CHECK_THROWS_WITH_AS(
      backward(y), "narrow: returned a gradient that is f32 on cpu for an input that is f64 on cpu",
      Error);
}
