// tests/test_gradcheck.cpp — the checker of derivatives must find what is wrong, and only that.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "autograd/gradcheck.h"
#include "autograd/ops.h"

using namespace diptych;

namespace {

using Inputs = std::vector<Tensor>;
constexpr double kRight = 1e-7;  // see tests/test_ops.cpp

Tensor numbers(Shape shape, uint64_t stream = 0) { return randn(shape, {7, stream}, DType::f64); }

// x², with a derivative of our own.
Tensor square_with(const Tensor& x, const std::function<Tensor(const Tensor& g)>& dx) {
  const NoGrad no_grad;
  const Tensor y = square(x);
  const GradMode grad_mode(true);
  return record("square", y, {x}, [dx](const Tensor& g) -> Grads { return {dx(g)}; });
}

double worst(const std::function<Tensor(const Inputs&)>& f, const Inputs& inputs,
             const GradcheckOptions& options = {}) {
  return gradcheck(f, inputs, options).worst;
}

// The error of a derivative dx(x, g) of x², by directions alone and by the Jacobian.
struct Found {
  double by_directions, by_jacobian;
};

Found found(const std::function<Tensor(const Tensor& x, const Tensor& g)>& dx, Shape shape) {
  const auto f = [dx](const Inputs& in) {
    return square_with(in[0], [dx, x = in[0].detach()](const Tensor& g) { return dx(x, g); });
  };
  GradcheckOptions directions, jacobian;
  directions.jacobian = 0;
  jacobian.directions = 0;
  return {worst(f, {numbers(shape)}, directions), worst(f, {numbers(shape)}, jacobian)};
}

}  // namespace

TEST_CASE("gradcheck: a right derivative passes both ways") {
  const Found r = found([](const Tensor& x, const Tensor& g) { return x * g * 2; }, {3, 4});
  CHECK(r.by_directions < kRight);
  CHECK(r.by_jacobian < kRight);
}

TEST_CASE("gradcheck: a wrong sign and a missing factor are found") {
  for (double factor : {-2.0, 1.0, 2.00001}) {
    const Found r = found([=](const Tensor& x, const Tensor& g) { return x * g * factor; }, {3, 4});
    const double expected = std::fabs(factor - 2) / std::max(2.0, std::fabs(factor));
    CHECK(r.by_directions > expected / 10);
    CHECK(r.by_jacobian == doctest::Approx(expected).epsilon(1e-3));
  }
}

TEST_CASE("gradcheck: a derivative of nothing but zeros, or one that never comes, is found") {
  const Found zero = found([](const Tensor& x, const Tensor&) { return zeros_like(x); }, {3});
  CHECK(zero.by_directions == doctest::Approx(1));
  CHECK(zero.by_jacobian == doctest::Approx(1));
  const Found missing = found([](const Tensor&, const Tensor&) { return Tensor(); }, {3});
  CHECK(missing.by_directions == doctest::Approx(1));
}

TEST_CASE("gradcheck: one wrong element of the Jacobian is found and named") {
  const auto f = [](const Inputs& in) {
    return square_with(in[0], [x = in[0].detach()](const Tensor& g) {
      Tensor dx = (x * g * 2).clone();
      dx.data<double>()[5] *= 1.001;
      return dx;
    });
  };
  const GradcheckResult r = gradcheck(f, {numbers({3, 4})});
  CHECK(r.worst > 1e-5);
  GradcheckOptions jacobian;
  jacobian.directions = 0;
  CHECK(gradcheck(f, {numbers({3, 4})}, jacobian).where == "input 0, element 5 → output 5");
  // Too large for the Jacobian, the directions still see it.
  CHECK(worst(f, {numbers({2, 64})}) > 1e-6);
}

TEST_CASE("gradcheck: the input that is wrong is named") {
  const auto f = [](const Inputs& in) {
    const Tensor product = in[0].detach() * in[1].detach();
    return record("mul", product, {in[0], in[1]},
                  [a = in[0].detach(), b = in[1].detach()](const Tensor& g) -> Grads {
                    return {b * g, b * g};  // the second should be a g
                  });
  };
  GradcheckOptions jacobian;
  jacobian.directions = 0;
  const auto r = gradcheck(f, {numbers({3}, 1), numbers({3}, 2)}, jacobian);
  CHECK(r.where.substr(0, 8) == "input 1,");
  CHECK(r.worst > 1e-3);
}

TEST_CASE("gradcheck: NaN and infinity are errors wherever they come from") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  for (double bad : {nan, infinity}) {
    const Found r = found([=](const Tensor& x, const Tensor&) { return zeros_like(x) + bad; }, {3});
    CHECK(r.by_directions == infinity);
    CHECK(r.by_jacobian == infinity);
  }
  const auto log_of_negative = [](const Inputs& in) { return log(in[0] * in[0] * -1); };
  CHECK(worst(log_of_negative, {numbers({3})}) == infinity);
}

TEST_CASE("gradcheck: a derivative of exactly zero is not noise") {
  CHECK(worst([](const Inputs& in) { return in[0] * 0 + 1e3; }, {numbers({5})}) == 0);
  CHECK(worst([](const Inputs& in) { return softmax(in[0]); }, {numbers({5, 1})}) == 0);
}

TEST_CASE("gradcheck: parameters inside the function are checked when they are among the inputs") {
  const Tensor w = numbers({4, 3}, 1), before = w.clone();
  const auto f = [w](const Inputs& in) { return tanh(linear(in[0], w)); };
  CHECK(worst(f, {numbers({2, 3}), w}) < kRight);
  CHECK(w.to_vector<double>() == before.to_vector<double>());  // moved, and put back
}

TEST_CASE("gradcheck: what it cannot check is refused") {
  const auto same = [](const Inputs& in) { return in[0] * 2; };
  CHECK_THROWS_WITH_AS(gradcheck(same, {zeros({2})}),
                       "gradcheck: inputs must be contiguous f64, got f32", Error);
  CHECK_THROWS_AS(gradcheck(same, {numbers({2, 3}).transpose(0, 1)}), Error);
  const auto narrow = [](const Inputs& in) { return cast(in[0], DType::f32); };
  CHECK_THROWS_WITH_AS(gradcheck(narrow, {numbers({2})}),
                       "gradcheck: the function must return f64, got f32", Error);
  const auto constant = [](const Inputs&) { return zeros({2}, DType::f64); };
  CHECK_THROWS_WITH_AS(gradcheck(constant, {numbers({2})}),
                       "backward: the result does not depend on any tracked tensor", Error);
}
