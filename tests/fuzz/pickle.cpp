// tests/fuzz/pickle.cpp — the program of a pickle.
#include "tensor/io/pickle.h"

#include "tests/fuzz/fuzz.h"

using namespace diptych;
using namespace diptych::test;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return survives(data, size, [](std::string_view bytes) { Pickle(std::string(bytes), "fuzz"); });
}
