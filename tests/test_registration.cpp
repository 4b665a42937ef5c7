// tests/test_registration.cpp — what would be neither trained nor saved is refused: layers nobody
// registered, names used twice, parameters without values.
#include <doctest/doctest.h>

#include <cmath>
#include <memory>

#include "nn/adamw.h"
#include "nn/transformer.h"
#include "tests/files.h"

using namespace diptych;
using namespace diptych::nn;
using diptych::test::contains;
using diptych::test::error_of;

namespace {

/// A layer as a plain member beside a registered one.
struct Forgetful : Module {
  Forgetful() : seen(child<Linear>("seen", 2, 3)), forgotten(3, 1) {}
  Linear& seen;
  Linear forgotten;
};

/// Layers behind pointers, which nobody registered either.
struct Hoarder : Module {
  Hoarder() : seen(child<Linear>("seen", 2, 3)) {
    for (int i = 0; i < 2; ++i) hoard.push_back(std::make_unique<Linear>(3, 3));
  }
  Linear& seen;
  std::vector<std::unique_ptr<Linear>> hoard;
};

template <class M>
struct Around : Module {
  Around() : inner(child<M>("inner")) {}
  M& inner;
};

struct Pair : Module {
  Pair(const std::string& first, const std::string& second)
      : a(parameter(first, {2}, Init::constant(1))), b(parameter(second, {2}, Init::constant(1))) {}
  Tensor a, b;
};

struct Twins : Module {
  Twins(const std::string& first, const std::string& second) {
    child<Linear>(first, 2, 2);
    child<Linear>(second, 2, 2);
  }
};

/// A child without a name shares its parent's names.
struct Nameless : Module {
  explicit Nameless(const std::string& own) {
    buffer(own, {2}, 0);
    child<Linear>("", 2, 2);
  }
};

}  // namespace

TEST_CASE("module: a child with a layer that is a plain member is refused when it is made") {
  const std::string error = error_of([] { Around<Forgetful> model; });
  CHECK(contains(error, "module: 'inner' holds a module that child() did not make"));
  CHECK(contains(error_of([] { Around<Hoarder> model; }), "module: 'inner' holds"));
  CHECK(contains(error_of([] { Around<Around<Hoarder>> model; }), "module: 'inner' holds"));
}

TEST_CASE("module: making and dropping other modules meanwhile disturbs nobody") {
  struct Busy : Module {
    Busy() : layer(child<Linear>("layer", 2, 2)) {
      const Linear passing(4, 4);
      width = passing.weight.dim(0);
    }
    Linear& layer;
    int64_t width;
  };
  const Linear before(1, 1);
  auto dropped = std::make_unique<Around<Busy>>();
  const Linear between(1, 1);
  dropped.reset();
  Around<Busy> model;
  model.initialize(0);
  CHECK(model.parameter_count() == 6);
  CHECK_NOTHROW(AdamW(model, {}));
}

TEST_CASE("AdamW: a plain member of the outermost module is refused") {
  Forgetful model;
  model.initialize(0);
  model.forgotten.initialize(0);
  CHECK(contains(error_of([&] { AdamW(model, {}); }), "AdamW: the model has as a member"));
  const auto on_heap = std::make_unique<Forgetful>();
  on_heap->initialize(0);
  CHECK(contains(error_of([&] { AdamW(*on_heap, {}); }), "AdamW: the model has as a member"));
}

TEST_CASE("module: a name that is there already is refused, parameter, buffer or child") {
  const std::string again = "is there already";
  CHECK(contains(error_of([] { Pair("w", "w"); }), "module: 'w' " + again));
  CHECK(contains(error_of([] { Twins("fc", "fc"); }), "module: 'fc.weight' " + again));
  CHECK(contains(error_of([] { Nameless("bias"); }), "module: 'bias' " + again));
  CHECK(contains(error_of([] { Pair("w", ""); }), "needs a name"));
  CHECK_NOTHROW(Pair("w", "v"));
  CHECK_NOTHROW(Twins("fc", "fc2"));
  CHECK_NOTHROW(Nameless("count"));
}

TEST_CASE(
    "module: a parameter nobody set is NaN, whatever it is converted to, and so is a result") {
  Linear layer(2, 3);
  layer.to(DType::bf16);
  layer.to(DType::f64);
  for (const double y : layer(zeros({1, 2}, DType::f64)).to_vector<double>()) CHECK(std::isnan(y));
}

TEST_CASE(
    "AdamW: parameters nobody set are refused by name; initialize, load and writes set them") {
  Twins model("a", "b");
  CHECK(contains(error_of([&] { AdamW(model, {}); }),
                 "AdamW: a.weight (2, 2) has no finite values; call initialize() or load_state()"));
  for (const Tensor& p : model.parameters()) p.detach().fill_(0.5);
  CHECK_NOTHROW(AdamW(model, {}));

  std::vector<NamedTensor> values;
  for (const auto& entry : model.state()) values.push_back({entry.name, entry.tensor.clone()});
  Twins loaded("a", "b");
  loaded.load_state(values);
  CHECK_NOTHROW(AdamW(loaded, {}));

  Twins drawn("a", "b");
  drawn.to(DType::f64);
  CHECK(contains(error_of([&] { AdamW(drawn, {}); }), "a.weight"));
  drawn.initialize(1);
  CHECK_NOTHROW(AdamW(drawn, {}));
}

TEST_CASE("AdamW: a module without parameters is refused") {
  struct Empty : Module {
    Empty() { buffer("count", {}, 0); }
  } model;
  CHECK(contains(error_of([&] { AdamW(model, {}); }), "AdamW: the module has no parameters"));
}
