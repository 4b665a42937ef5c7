// error: cannot bind non-const lvalue reference|no viable overloaded '\+='
#include "autograd/ops.h"

void f(diptych::Tensor& x) {
#if defined(FIXED)
  x[0].copy_(x[0] + 1);
#else
  x[0] += 1;  // a handle that is gone at once: nothing would change
#endif
}
