// error: discards qualifiers|drops 'const' qualifier|no matching function for call
#include "tensor/kernels.h"

void f(const diptych::Tensor& x, const diptych::Tensor& y) {
#if defined(FIXED)
  diptych::Tensor out = y;
#else
  const diptych::Tensor& out = y;
#endif
  diptych::kernel::softmax(x.device(), x, out);
}
