// tests/cuda/test_index_report.cu — what a device does about an index out of range: it takes the
// row for zeros, and the next synchronize() throws.
#include "autograd/ops.h"
#include "tests/kernel_reference.h"

namespace diptych::test {
namespace {

/// Throws what a kernel has to report, once; then f works, and nothing is left to report.
void check_reported(const char* message, const std::function<void()>& f) {
  CHECK_THROWS_WITH_AS(synchronize(Device::cuda), message, Error);
  synchronize(Device::cuda);
  f();
  synchronize(Device::cuda);
}

/// Tensors of this file are on the emulated device.
struct OnCuda {
  OnCuda() { here = Device::cuda; }
  ~OnCuda() { here = Device::cpu; }
};

}  // namespace

TEST_CASE("index report: gather_rows") {
  const OnCuda there;
  for (DType t : kFloats) {
    for (int64_t D : {1, 3, 8, 40}) {
      const Tensor x = full({4, D}, 7, t);
      for (int64_t bad : {int64_t{4}, int64_t{-1}, INT64_MAX, INT64_MIN}) {
        Tensor y = full({3, D}, NAN, t), again = empty({2, D}, t);
        kernel::gather_rows(here, x, indices({1, bad, 3}), y);
        check_reported("gather_rows: an index is out of range [0, 4)", [&] {
          kernel::gather_rows(here, x, indices({0, 3}), again);
        });
        Values want(at(3 * D), 7.0);
        std::fill_n(want.begin() + D, D, 0.0);
        CHECK(values(y) == want);
        CHECK(values(again) == Values(at(2 * D), 7.0));
      }
    }
  }
}

TEST_CASE("index report: gather_rows from nothing") {
  const OnCuda there;
  Tensor y = full({2, 3}, NAN);
  kernel::gather_rows(here, empty({0, 3}), indices({0, 1}), y);
  check_reported("gather_rows: an index is out of range [0, 0)", [] {});
  CHECK(values(y) == Values(6, 0.0));
}

TEST_CASE("index report: scatter_add_rows passes over what is out of range") {
  const OnCuda there;
  std::vector<int64_t> index(300, 2);
  index[0] = -1, index[150] = 3, index[299] = int64_t{1} << 40;
  const Tensor g = full({300, 5}, 1);
  Tensor dx = full({3, 5}, NAN), again = full({3, 5}, NAN);
  kernel::scatter_add_rows(here, g, indices(index), dx);
  check_reported("scatter_add_rows: an index is out of range [0, 3)", [&] {
    kernel::scatter_add_rows(here, g, indices(std::vector<int64_t>(300, 0)), again);
  });
  const auto rows = [](double a, double b, double c) {
    Values all;
    for (double v : {a, b, c}) all.insert(all.end(), 5, v);
    return all;
  };
  CHECK(values(dx) == rows(0, 0, 297));
  CHECK(values(again) == rows(300, 0, 0));
}

TEST_CASE("index report: cross_entropy gives such a row neither loss nor gradient") {
  const OnCuda there;
  for (int64_t V : {3, 2053}) {
    const Tensor x = normal({3, V}), g = full({}, 1), good = indices({0, 1, 2});
    Tensor loss = full({3}, NAN), lse = empty({3}), dx = full({3, V}, NAN);
    const auto run = [&](const Tensor& target) {
      kernel::cross_entropy(here, x, target, loss, lse);
      kernel::cross_entropy_grad(here, x, lse, target, g, dx);
    };
    run(good);
    const Values want = values(loss), want_dx = values(dx);
    run(indices({0, V, 2}));
    const std::string message =
        "cross_entropy: an index is out of range [0, " + std::to_string(V) + ")";
    CHECK_THROWS_WITH_AS(synchronize(Device::cuda), message.c_str(), Error);
    CHECK(values(loss) == Values{want[0], 0, want[2]});
    Values without = want_dx;
    std::fill_n(without.begin() + V, V, 0.0);
    CHECK(values(dx) == without);
    run(good);
    CHECK(values(loss) == want);
    CHECK(values(dx) == want_dx);
  }
}

TEST_CASE("index report: an operator throws when the host next waits") {
  const OnCuda there;
  const Tensor x = normal({4, 3}), y = gather_rows(x, indices({4}));
  CHECK_THROWS_WITH_AS(values(y), "gather_rows: an index is out of range [0, 4)", Error);
  CHECK(values(y) == Values{0, 0, 0});
}

}  // namespace diptych::test
