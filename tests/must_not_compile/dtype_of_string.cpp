// error: not the C\+\+ type of any dtype
#include <string>

#include "tensor/types.h"

#if defined(FIXED)
using T = float;
#else
using T = std::string;
#endif
constexpr diptych::DType kType = diptych::dtype_of<T>();
