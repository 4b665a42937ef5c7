// error: use of deleted function|call to deleted constructor
#include "tensor/io/file.h"

void f(const diptych::InputFile& file) {
#if defined(FIXED)
  const diptych::InputFile& other = file;
#else
  const diptych::InputFile other = file;  // its descriptor would be closed twice
#endif
  (void)other.size();
}
