// error: use of deleted function|call to deleted constructor
#include <memory>

#include "tensor/tensor.h"

void f(const std::shared_ptr<diptych::Storage>& storage) {
#if defined(FIXED)
  const auto other = storage;
#else
  const auto other = *storage;  // it would be freed twice
#endif
  (void)other;
}
