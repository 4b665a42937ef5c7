// tests/main.cpp — the test binary.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include "tensor/allocator.h"

// Kernels that leave part of a result unwritten, or write beside it, are found in every build.
int main(int argc, char** argv) {
  diptych::allocator(diptych::Device::cpu).guard();
  return doctest::Context(argc, argv).run();
}
