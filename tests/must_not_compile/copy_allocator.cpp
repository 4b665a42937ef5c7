// error: use of deleted function|call to deleted constructor
#include "tensor/allocator.h"

void f() {
#if defined(FIXED)
  diptych::CachingAllocator& pool = diptych::allocator(diptych::Device::cpu);
#else
  diptych::CachingAllocator pool = diptych::allocator(diptych::Device::cpu);  // lost the reference
#endif
  pool.trim();
}
