// error: no match for .operator=.|no viable overloaded '='
#include "tensor/types.h"

void f(diptych::Shape& shape) {
#if defined(FIXED)
  shape = {2, 3};
#else
  shape = "(2, 3)";
#endif
}
