// tests/test_recompute.cpp — what runs twice counts once: leaves, hooks, statistics.
#include <doctest/doctest.h>

#include <map>

#include "autograd/ops.h"
#include "clip/loss.h"
#include "clip/model.h"
#include "tensor/scalar_ops.h"
#include "tests/files.h"
#include "tests/tape.h"

using namespace diptych;
using diptych::test::contains;
using diptych::test::error_of;
using diptych::test::grad_of;
using diptych::test::leaf;
using diptych::test::Values;

namespace {

Tensor step(const Clip& model) {
  const int64_t R = model.config().image_size(), C = model.config().channels();
  return model_loss(model, randn({2, C, R, R}, {5, 0}), pack({{1, 2, 3}, {1, 4}}));
}

// What each leaf's hook saw in one step.
std::map<std::string, std::vector<Tensor>> hooked_step(const Clip& model) {
  std::map<std::string, std::vector<Tensor>> seen;
  for (const auto& entry : model.named_parameters())
    add_hook(entry.tensor,
             [&seen, name = entry.name](Tensor& g) { seen[name].push_back(g.clone()); });
  backward(step(model));
  return seen;
}

}  // namespace

TEST_CASE("recompute: every leaf's hook runs once, after its last write") {
  for (const char* name : {"tiny", "small", "tiny-resnet"}) {
    for (const bool checkpointing : {false, true}) {
      CAPTURE(name);
      CAPTURE(checkpointing);
      Clip model(preset(name));
      model.initialize(0);
      model.set_checkpointing(checkpointing);
      const auto seen = hooked_step(model);
      for (const auto& entry : model.named_parameters()) {
        CAPTURE(entry.name);
        REQUIRE(seen.contains(entry.name));
        REQUIRE(seen.at(entry.name).size() == 1);
        CHECK(test::same_bits(seen.at(entry.name)[0], grad(entry.tensor)));
      }
      for (const auto& entry : model.state())
        if (entry.name.ends_with("num_batches_tracked")) CHECK(entry.tensor.item() == 1);
    }
  }
}

TEST_CASE("recompute: a hook waits for uses outside of the blocks") {
  const Tensor w = leaf({3}), x = leaf({2});
  int calls = 0;
  add_hook(w, [&](Tensor& g) {
    ++calls;
    CHECK(g.item() == 2 + 2 + 1);
  });
  const auto times = [w](const Tensor& y) { return y * w; };
  backward(checkpoint(times, x) + checkpoint(times, x) + w);
  CHECK(calls == 1);
}

TEST_CASE("recompute: a function may use results of operations from outside") {
  const Tensor x = leaf({2}), w = leaf({5});
  const Tensor h = w * w;  // used in the block and behind it
  backward(checkpoint([h](const Tensor& y) { return y * h; }, x) + h);
  CHECK(grad_of(x) == Values{25});
  CHECK(grad_of(w) == Values{(2 + 1) * 2 * 5});
}

TEST_CASE("recompute: a function that returns a tensor from outside hands its gradient on") {
  const Tensor x = leaf({2}), w = leaf({5});
  backward(checkpoint([w](const Tensor&) { return w; }, x) * x);
  CHECK(grad_of(w) == Values{2});
  CHECK(grad_of(x) == Values{5});
}

TEST_CASE("recompute: what runs where nothing is recorded is seen too") {
  const Tensor w = track(randn({3, 2}, {1, 0}, DType::f64));
  const auto f = [w](const Tensor& x) { return linear_then(Unary::tanh, x, w); };
  int calls = 0;
  add_hook(w, [&](Tensor&) { ++calls; });
  backward(checkpoint(f, randn({4, 2}, {1, 1}, DType::f64)));
  CHECK(calls == 1);
}

TEST_CASE("recompute: in the second run of linear_of recomputing() is true") {
  std::vector<bool> seen;
  const auto f = [&](const Tensor& x) {
    seen.push_back(recomputing());
    return x * 2;
  };
  backward(linear_of(f, track(zeros({2, 3})), track(zeros({4, 3}))));
  CHECK(seen == std::vector<bool>{false, true});
}

TEST_CASE("recompute: a second run that uses other tensors than the first is refused") {
  const Tensor x = leaf({2}), first = leaf({3}), second = leaf({4});
  int runs = 0;
  const Tensor y = checkpoint([&](const Tensor& z) { return z * (runs++ ? second : first); }, x);
  CHECK(contains(error_of([&] { backward(y); }),
                 "checkpoint: its backward pass reaches a tensor that is none of its inputs"));
}

TEST_CASE("backward: after a pass that threw neither the graph nor its gradients are trusted") {
  const Tensor x = leaf({2}), w = leaf({3});
  bool broken = true;
  const Tensor h = record("half", x.detach(), {x}, [&](const Tensor& g) -> Grads {
    check(!broken, "half: broken");
    return {g};
  });
  const Tensor y = h * w + w;
  CHECK(contains(error_of([&] { backward(y, {}, true); }), "half: broken"));
  broken = false;
  CHECK(contains(error_of([&] { backward(y); }),
                 "an earlier backward pass through this graph threw"));
  CHECK(contains(error_of([&] { grad(w); }), "left this gradient incomplete"));
  CHECK(contains(error_of([&] { backward(w * 2); }), "leaf: a backward pass that threw left its"));
  set_grad(w, {});
  backward(w * 2);
  CHECK(grad_of(w) == Values{2});
  CHECK(!grad(x).defined());
}

TEST_CASE("backward: a pass that threw spoils the gradients it may have changed, and no others") {
  const Tensor x = leaf({2}), w = leaf({3}), v = leaf({5});
  const Tensor y = x * w;
  backward(y);
  CHECK(contains(error_of([&] { backward(y); }), "freed it"));
  CHECK(grad_of(x) == Values{3});  // nothing was added

  const Tensor h =
      record("half", x.detach(), {x}, [](const Tensor&) -> Grads { fail("half: broken"); });
  const auto times = [v](const Tensor& z) { return z * v; };
  CHECK(contains(error_of([&] { backward(checkpoint(times, h)); }), "half: broken"));
  CHECK(contains(error_of([&] { grad(v); }), "incomplete"));  // written in the block's own pass
  CHECK(grad_of(w) == Values{2});
}
