// tensor/finite.cpp — one sum answers for most tensors.
#include "tensor/finite.h"

#include <algorithm>
#include <cmath>

#include "tensor/kernels.h"

namespace diptych {

// Σ x² is finite where all x are, and quickly computed. (In f64 it may not be, and all x still.)
bool all_finite(const Tensor& x) {
  if (!is_float(x.dtype())) return true;
  Tensor squares = empty({}, DType::f64, x.device());
  kernel::sum_squares(x.device(), {x.contiguous()}, squares);
  if (std::isfinite(squares.item())) return true;
  const std::vector<double> values = x.to_vector<double>();
  return std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
}

}  // namespace diptych
