// examples/02_autograd.cpp — gradients: by hand, by the tape, and by training a line.
#include <iostream>

#include "autograd/ops.h"

using namespace diptych;

namespace {

void derivative_of_a_product() {
  const Tensor x = full({}, 3.0), y = full({}, 4.0);
  track(x);
  track(y);
  const Tensor z = x * y + square(x);  // dz/dx = y + 2x = 10, dz/dy = x = 3
  backward(z);
  std::cout << "z = " << z.item() << ", dz/dx = " << grad(x).item()
            << ", dz/dy = " << grad(y).item() << '\n';
}

// y = 2 x₀ - x₁ + 0.5, found by gradient descent on the squared error.
void fit_a_line() {
  const Tensor x = randn({64, 2}, {.seed = 7, .stream = 0});
  const Tensor truth = linear(x, from_vector<float>({2, -1}, {1, 2}), full({1}, 0.5));
  const Tensor w = zeros({1, 2}), b = zeros({1});
  track(w);
  track(b);
  for (int step = 0; step < 200; ++step) {
    const Tensor loss = mean(square(linear(x, w, b) - truth));
    backward(loss);
    if (step % 50 == 0) std::cout << "step " << step << ": loss " << loss.item() << '\n';
    const NoGrad no_grad;
    for (Tensor p : {w, b}) {
      p.copy_(p - grad(p) * 0.1);
      set_grad(p, {});  // gradients add up until they are cleared
    }
  }
  std::cout << "w = " << w << "\nb = " << b << '\n';
}

}  // namespace

int main() {
  derivative_of_a_product();
  fit_a_line();
}
