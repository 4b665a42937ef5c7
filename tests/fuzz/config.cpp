// tests/fuzz/config.cpp — the configuration of a model, as JSON.
#include "clip/config.h"

#include "tests/fuzz/fuzz.h"

using namespace diptych;
using namespace diptych::test;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return survives(data, size,
                  [](std::string_view bytes) { model_config_from_json(std::string(bytes)); });
}
