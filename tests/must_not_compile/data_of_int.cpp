// error: not the C\+\+ type of any dtype
#include "tensor/tensor.h"

#if defined(FIXED)
using T = int64_t;
#else
using T = int;  // there is no 32-bit integer dtype: a silent reinterpretation
#endif
T* f(const diptych::Tensor& x) { return x.data<T>(); }
