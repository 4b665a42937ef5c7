// error: invalid initialization of reference|could not bind to an rvalue
#include "autograd/graph.h"

void f(const diptych::Tensor& loss) {
#if defined(FIXED)
  diptych::backward(loss, {}, true);
#else
  diptych::backward(loss, true);  // the second operand is the seed
#endif
}
