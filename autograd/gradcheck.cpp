// autograd/gradcheck.cpp — random directions, then the full Jacobian where it is small.
#include "autograd/gradcheck.h"

#include <cmath>
#include <limits>

#include "tensor/factory.h"
#include "tensor/philox.h"

namespace diptych {
namespace {

using Function = std::function<Tensor(const std::vector<Tensor>&)>;
using Vector = std::vector<double>;

double dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

double norm(const Vector& a) { return std::sqrt(dot(a, a)); }

Vector random_vector(int64_t n, PhiloxStream& rng) {
  Vector v(static_cast<size_t>(n));
  for (double& x : v) x = rng.normal();
  return v;
}

// f(x ± ε v) is off by a few units in the last place, and so is their difference, divided by ε.
// Where a derivative is as small as that, the difference says nothing: the scale is at least so
// large that this noise alone counts as an error of 1e-8.
double smallest_scale(double size_of_y, double step) {
  return 1e8 * 8 * std::numeric_limits<double>::epsilon() * size_of_y / step;
}

void note(GradcheckResult& result, double analytic, double numeric, double scale,
          std::string where) {
  const double size = std::max({std::fabs(analytic), std::fabs(numeric), scale});
  double error = size == 0 ? 0 : std::fabs(analytic - numeric) / size;
  if (!std::isfinite(error)) error = std::numeric_limits<double>::infinity();
  if (error > result.worst || result.where.empty()) {
    result = {error, analytic, numeric, std::move(where)};
  }
}

Vector evaluate(const Function& f, const std::vector<Tensor>& inputs) {
  const NoGrad no_grad;
  const Tensor y = f(inputs);
  check(y.dtype() == DType::f64, "gradcheck: the function must return f64, got ", y.dtype());
  return y.to_vector<double>();
}

// In place, wherever x is.
void set(Tensor x, const Vector& values) { x.copy_(from_vector(values, x.shape())); }

// (f(x + ε v) - f(x - ε v)) / 2ε, where v moves the elements of the inputs one after the other.
Vector difference(const Function& f, const std::vector<Tensor>& inputs,
                  const std::vector<Vector>& v, double step) {
  std::vector<Vector> before;
  for (const Tensor& x : inputs) before.push_back(x.to_vector<double>());
  const auto shifted = [&](double by) {
    for (size_t i = 0; i < inputs.size(); ++i) {
      Vector x = before[i];
      for (size_t k = 0; k < x.size(); ++k) x[k] += by * v[i][k];
      set(inputs[i], x);
    }
    Vector y = evaluate(f, inputs);
    for (size_t i = 0; i < inputs.size(); ++i) set(inputs[i], before[i]);
    return y;
  };
  Vector up = shifted(step);
  const Vector down = shifted(-step);
  for (size_t i = 0; i < up.size(); ++i) up[i] = (up[i] - down[i]) / (2 * step);
  return up;
}

// Jᵀu by one backward pass; zeros where an input received nothing.
std::vector<Vector> pull_back(const Function& f, const std::vector<Tensor>& inputs,
                              const Vector& u) {
  for (const Tensor& x : inputs) set_grad(track(x), {});
  const Tensor y = f(inputs);
  backward(y, from_vector(u, y.shape()).to(y.device()));
  std::vector<Vector> grads;
  for (const Tensor& x : inputs) {
    grads.push_back(grad(x).defined() ? grad(x).to_vector<double>()
                                      : Vector(static_cast<size_t>(x.numel())));
  }
  return grads;
}

// The scale of ⟨u, J v⟩ is ‖Jᵀu‖: what the sum of its terms would be if they did not cancel.
void check_directions(const Function& f, const std::vector<Tensor>& inputs, const Vector& y,
                      const GradcheckOptions& options, GradcheckResult& result) {
  PhiloxStream rng(options.seed, 0x67726164);
  for (int k = 0; k < options.directions; ++k) {
    const Vector u = random_vector(static_cast<int64_t>(y.size()), rng);
    std::vector<Vector> v;
    for (const Tensor& x : inputs) v.push_back(random_vector(x.numel(), rng));
    const std::vector<Vector> grads = pull_back(f, inputs, u);
    double analytic = 0, scale = 0;
    for (size_t i = 0; i < inputs.size(); ++i) {
      analytic += dot(grads[i], v[i]);
      scale += norm(grads[i]);
    }
    scale = std::max(scale, smallest_scale(norm(u) * norm(y), options.step));
    note(result, analytic, dot(u, difference(f, inputs, v, options.step)), scale,
         "direction " + std::to_string(k));
  }
}

// The scale of an element of J is the largest in the Jacobian of that input.
void check_jacobian(const Function& f, const std::vector<Tensor>& inputs, size_t i, const Vector& y,
                    const GradcheckOptions& options, GradcheckResult& result) {
  const size_t M = y.size();
  const auto N = static_cast<size_t>(inputs[i].numel());
  std::vector<Vector> rows, columns;
  double scale = 0;
  for (size_t m = 0; m < M; ++m) {
    Vector u(M);
    u[m] = 1;
    rows.push_back(pull_back(f, inputs, u)[i]);
    for (double a : rows[m]) scale = std::max(scale, std::fabs(a));
  }
  std::vector<Vector> v;
  for (const Tensor& x : inputs) v.emplace_back(static_cast<size_t>(x.numel()));
  for (size_t n = 0; n < N; ++n) {
    v[i][n] = 1;
    const Vector column = difference(f, inputs, v, options.step);
    v[i][n] = 0;
    for (size_t m = 0; m < M; ++m) {
      note(result, rows[m][n], column[m],
           std::max(scale, smallest_scale(std::fabs(y[m]), options.step)),
           "input " + std::to_string(i) + ", element " + std::to_string(n) + " → output " +
               std::to_string(m));
    }
  }
}

}  // namespace

GradcheckResult gradcheck(const Function& f, const std::vector<Tensor>& inputs,
                          const GradcheckOptions& options) {
  for (const Tensor& x : inputs) {
    check(x.dtype() == DType::f64 && x.is_contiguous(),
          "gradcheck: inputs must be contiguous f64, got ", x.dtype());
  }
  const Vector y = evaluate(f, inputs);
  const auto outputs = static_cast<int64_t>(y.size());
  GradcheckResult result;
  check_directions(f, inputs, y, options, result);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (outputs <= options.jacobian && inputs[i].numel() <= options.jacobian) {
      check_jacobian(f, inputs, i, y, options, result);
    }
  }
  return result;
}

}  // namespace diptych
