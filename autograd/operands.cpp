// autograd/operands.cpp — checks of operands.
#include "autograd/operands.h"

namespace diptych {

void check_index(const char* what, const Tensor& index, int64_t n) {
  if (index.device() != Device::cpu) return;
  for (int64_t i : index.to_vector<int64_t>()) {
    check(0 <= i && i < n, what, " ", i, " is out of range [0, ", n, ")");
  }
}

}  // namespace diptych
