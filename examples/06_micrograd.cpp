// examples/06_micrograd.cpp — the example of micrograd's README (github.com/karpathy/micrograd),
// term by term, with the numbers printed there.
#include <cmath>
#include <iostream>

#include "autograd/ops.h"

using namespace diptych;

namespace {

bool agrees(const char* what, double got, double published) {
  const bool ok = std::fabs(got - published) <= 1e-4;
  std::cout << what << " = " << got << (ok ? "\n" : ", but micrograd has ");
  if (!ok) std::cout << published << '\n';
  return ok;
}

}  // namespace

int main() {
  const Tensor a = track(full({}, -4.0, DType::f64)), b = track(full({}, 2.0, DType::f64));
  Tensor c = a + b;
  Tensor d = a * b + pow(b, 3);
  c += c + 1;
  c += 1 + c + (-a);
  d += d * 2 + relu(b + a);
  d += 3 * d + relu(b - a);
  const Tensor e = c - d;
  const Tensor f = pow(e, 2);
  Tensor g = f / 2.0;
  g += 10.0 / f;
  backward(g);

  std::cout.precision(8);
  const bool value = agrees("g", g.item(), 24.7041);
  const bool by_a = agrees("dg/da", grad(a).item(), 138.8338);
  const bool by_b = agrees("dg/db", grad(b).item(), 645.5773);
  return value && by_a && by_b ? 0 : 1;
}
