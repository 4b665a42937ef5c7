// tests/test_graph_leaves.cpp — facts about leaves: their gradients, the buffers of them, their
// hooks.
#include <doctest/doctest.h>

#include "autograd/graph.h"
#include "autograd/ops.h"
#include "tests/tape.h"

using namespace diptych;
using diptych::test::f64;
using diptych::test::grad_of;
using diptych::test::leaf;
using diptych::test::Values;

namespace {

// A node whose derivative is whatever the test says.
Tensor custom(const char* op, const Tensor& y, const std::vector<Tensor>& inputs, Backward f) {
  return record(op, y, inputs, std::move(f));
}

}  // namespace

TEST_CASE("graph: a hook runs once, when the gradient is final, last layer first") {
  const Tensor first = leaf({2}), last = leaf({3});
  std::vector<std::string> order;
  add_hook(first, [&](Tensor& g) { order.push_back("first " + std::to_string(g.item())); });
  add_hook(last, [&](Tensor& g) { order.push_back("last " + std::to_string(g.item())); });
  const Tensor h = first * first;       // used again below: final only after both
  backward(last * (last * h + first));  // 2 l h + f = 26;  l² 2 f + l = 39
  CHECK(order == std::vector<std::string>{"last 26.000000", "first 39.000000"});
}

TEST_CASE(
    "graph: hooks of one leaf run in the order they were added, and may change the gradient") {
  const Tensor x = leaf({1});
  add_hook(x, [](Tensor& g) { g = g + 1; });
  add_hook(x, [](Tensor& g) { g = g * 10; });
  backward(x * 2);
  CHECK(grad_of(x) == Values{30});
}

TEST_CASE("graph: backward adds into the buffer given by set_grad") {
  const Tensor x = leaf({1, 2}), buffer = f64({100, 200});
  set_grad(x, buffer);
  backward(x * x);
  CHECK(buffer.to_vector<double>() == Values{102, 204});
  CHECK(grad(x).same_storage(buffer));
  set_grad(x, {});
  CHECK(!grad(x).defined());
}

TEST_CASE("graph: set_grad refuses a buffer that gradients cannot be added to") {
  const Tensor x = leaf({1, 2});
  CHECK_THROWS_AS(set_grad(x, f64({1})), Error);
  CHECK_THROWS_AS(set_grad(x, zeros({2})), Error);
  const Tensor gaps = zeros({2, 2}, DType::f64).transpose(0, 1);
  CHECK_THROWS_AS(set_grad(track(zeros({2, 2}, DType::f64)), gaps), Error);
  CHECK_THROWS_WITH_AS(set_grad(x * 2, f64({1, 2})),
                       "set_grad: the tensor is not a tracked leaf; call track() on it first",
                       Error);
}

TEST_CASE("graph: gradients of several backward passes add up in place") {
  const Tensor x = leaf({1, 2});
  backward(x * 2);
  const Tensor held = grad(x);
  backward(x * 3);
  CHECK(grad_of(x) == Values{5, 5});
  CHECK(held.same_storage(grad(x)));
}

TEST_CASE("graph: only floating-point leaves can be tracked") {
  CHECK_THROWS_AS(track(arange(3)), Error);
  CHECK_THROWS_AS(track(leaf({1}) * 2), Error);
  const Tensor x = leaf({1});
  CHECK(&track(x) == &x);  // twice is once
}

TEST_CASE("graph: a leaf that nothing reached keeps no gradient") {
  const Tensor x = leaf({1}), y = leaf({1});
  const Tensor z = custom("half", x.detach(), {x, y}, [](const Tensor& g) -> Grads {
    return {g, Tensor()};
  });
  backward(z);
  CHECK(grad_of(x) == Values{1});
  CHECK(!grad(y).defined());
}

TEST_CASE("graph: two leaves never share a gradient buffer") {
  const Tensor a = leaf({1}), b = leaf({2});
  backward(a + b);  // the closure returns {g, g}
  CHECK(!grad(a).same_storage(grad(b)));
  backward(a * 5);
  CHECK(grad_of(a) == Values{6});
  CHECK(grad_of(b) == Values{1});

  const Tensor c = leaf({1, 2}), d = leaf({3});
  backward(cat({c, d}, 0));  // slices of one gradient
  CHECK(!grad(c).same_storage(grad(d)));
  const Tensor seed = f64({1});
  const Tensor e = leaf({1});
  backward(reshape(e, {1}), seed);
  CHECK(!grad(e).same_storage(seed));
}

TEST_CASE("graph: a gradient that nobody else holds becomes the leaf's without a copy") {
  const Tensor x = leaf({1});
  void* made = nullptr;
  backward(custom("fresh", x.detach(), {x}, [&](const Tensor& g) -> Grads {
    Tensor dx = g.clone();
    made = dx.raw();
    return {dx};
  }));
  CHECK(grad(x).raw() == made);
}
