// tests/fuzz/npy.cpp — a file of one array.
#include "tensor/io/npy.h"

#include "tests/fuzz/fuzz.h"

using namespace diptych;
using namespace diptych::test;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return survives(data, size, [](std::string_view bytes) { load_npy(MemoryFile(bytes).path()); });
}
