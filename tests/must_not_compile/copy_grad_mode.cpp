// error: use of deleted function|deleted (copy )?constructor
#include "autograd/graph.h"

void f() {
  const diptych::NoGrad outer;
#if defined(FIXED)
  const diptych::NoGrad inner;
#else
  const diptych::NoGrad inner = outer;  // the mode would be put back twice
#endif
  (void)inner;
}
