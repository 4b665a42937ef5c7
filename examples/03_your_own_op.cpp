// examples/03_your_own_op.cpp — an operator with its derivative, and the check that finds the
// mistake.
#include <iostream>

#include "autograd/gradcheck.h"
#include "autograd/ops.h"

using namespace diptych;

namespace {

// ln(1 + eˣ) out of other operators, which record nothing here: the derivative below is the whole
// story.
Tensor softplus_value(const Tensor& x) {
  const NoGrad no_grad;
  return log(exp(x) + 1.0);
}

/// y = ln(1 + eˣ);  dy/dx = sigmoid(x)
Tensor softplus(const Tensor& x) {
  return record("softplus", softplus_value(x), {x},
                [x = Saved(x)](const Tensor& g) -> Grads { return {g * sigmoid(x.get())}; });
}

/// The same with a plausible mistake: the derivative uses y where it needs x.
Tensor wrong_softplus(const Tensor& x) {
  const Tensor y = softplus_value(x);
  return record("wrong_softplus", y, {x},
                [y = Saved(y)](const Tensor& g) -> Grads { return {g * sigmoid(y.get())}; });
}

void report(const char* name, Tensor (*op)(const Tensor&)) {
  const Tensor x = randn({5}, {.seed = 3, .stream = 0}, DType::f64);
  const GradcheckResult result =
      gradcheck([op](const std::vector<Tensor>& in) { return op(in[0]); }, {x});
  std::cout << name << ": worst relative error " << result.worst << " (" << result.where
            << ": derivative " << result.analytic << ", difference " << result.numeric << ")\n";
}

}  // namespace

int main() {
  report("softplus", softplus);
  report("wrong_softplus", wrong_softplus);
}
