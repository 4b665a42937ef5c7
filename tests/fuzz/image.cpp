// tests/fuzz/image.cpp — a picture of at most a million pixels.
#include "data/image/transform.h"
#include "tests/fuzz/fuzz.h"

using namespace diptych;
using namespace diptych::test;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return survives(data, size, [](std::string_view bytes) {
    const ImageLimits limits{.max_pixels = 1'000'000};
    to_rgb(decode_picture(bytes, "fuzz", limits));
  });
}
