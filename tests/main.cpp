// tests/main.cpp — the test binary.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>

#include "tensor/allocator.h"
#include "tests/devices.h"

using namespace diptych;

// Kernels that leave part of a result unwritten, or write beside it, are found in every build.
int main(int argc, char** argv) try {
  allocator(Device::cpu).guard();
  test::devices();  // throws if one is missing that is required
  if (available(Device::cuda) && test::asked_for("DIPTYCH_UNCACHED", "cuda", false))
    allocator(Device::cuda).keep_at_most(0);
  return doctest::Context(argc, argv).run();
} catch (const Error& error) {
  std::fprintf(stderr, "run_tests: %s\n", error.what());
  return 1;
}
