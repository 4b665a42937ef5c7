// tensor/finite.h — is every value a number?
#pragma once

#include "tensor/tensor.h"

namespace diptych {

/// Neither NaN nor infinite, any of them; true for integers. Waits for the device.
bool all_finite(const Tensor& x);

}  // namespace diptych
