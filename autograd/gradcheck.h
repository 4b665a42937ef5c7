// autograd/gradcheck.h — checks a derivative against central differences, in f64.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "autograd/graph.h"

namespace diptych {

struct GradcheckOptions {
  double step = 1e-5;  ///< ε of the central difference: error O(ε²) + O(2⁻⁵³ / ε)
  int directions = 3;  ///< random directions tried
  int64_t jacobian =
      64;  ///< the whole Jacobian is compared when input and output have at most this many elements
  uint64_t seed = 0;
};

struct GradcheckResult {
  double worst = 0;  ///< largest relative error seen; infinite if something was not finite
  double analytic = 0, numeric = 0;  ///< the two values there
  std::string where;                 ///< "input 1, element 7 → output 3", or "direction 2"
};

/// Compares the recorded derivative of f with central differences of f at `inputs`, which are f64,
/// contiguous and leaves (module parameters may be among them: they are perturbed in place and put
/// back). Two ways: along random directions, ⟨u, J v⟩ with (f(x + εv) - f(x - εv)) / 2ε for v and
/// one backward pass for u; and every element of J where it is small. The relative error of two
/// numbers is |a - n| / max(|a|, |n|, s), where s, the size of a typical contribution, keeps noise
/// around zero and the rounding of f(x ± εv) from counting: see gradcheck.cpp.
/// Throws Error if an input or f's value is not f64, or if f's value does not depend on the
/// inputs.
GradcheckResult gradcheck(const std::function<Tensor(const std::vector<Tensor>&)>& f,
                          const std::vector<Tensor>& inputs, const GradcheckOptions& = {});

}  // namespace diptych
