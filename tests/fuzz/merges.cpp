// tests/fuzz/merges.cpp — a vocabulary, plain or packed with gzip.
#include "data/text/tokenizer.h"
#include "tests/fuzz/fuzz.h"

using namespace diptych;
using namespace diptych::test;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return survives(data, size,
                  [](std::string_view bytes) { Tokenizer::load(MemoryFile(bytes).path()); });
}
