// error: no match for call|no matching function for call
#include "tensor/kernels.h"

void f(const diptych::Tensor& x, diptych::Tensor& y) {
#if defined(FIXED)
  diptych::kernel::softmax(x.device(), x, y);
#else
  diptych::kernel::softmax(x, y);
#endif
}
