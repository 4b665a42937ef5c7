// tests/fuzz/csv.cpp — a table; the first byte is the separator.
#include "data/csv.h"

#include "tests/fuzz/fuzz.h"

using namespace diptych;
using namespace diptych::test;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return survives(data, size, [](std::string_view bytes) {
    if (!bytes.empty()) parse_csv(bytes.substr(1), bytes[0], "fuzz", [](const CsvRow&) {});
  });
}
