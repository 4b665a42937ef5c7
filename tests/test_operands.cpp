// tests/test_operands.cpp — what operators check of their operands, and how kernels see them.
#include <doctest/doctest.h>

#include "autograd/operands.h"
#include "tensor/factory.h"
#include "tests/files.h"

using namespace diptych;
using diptych::test::contains;
using diptych::test::error_of;

TEST_CASE("operands: one of another dtype is refused with the kinds of all") {
  const Tensor none, x = zeros({2}), other = zeros({3}, DType::f16);
  CHECK(error_of([&] { check_alike("op", {x, none, x}); }).empty());
  CHECK(contains(error_of([&] {
                   check_alike("op", {x, none, x, other});
                 }),
                 "op: needs operands of one dtype on one device, got f32 on cpu, f32 on cpu, f16 "
                 "on cpu; cast() or move what differs"));
  // Nobody need be there, not even the first.
  CHECK(contains(error_of([&] { check_alike("op", {none, x, other}); }), "got f32 on cpu, f16"));
  CHECK(error_of([&] { check_alike("op", {none, x, none}); }).empty());
}

TEST_CASE("operands: rows of no columns are still rows") {
  CHECK(as_rows("op", zeros({2, 3, 0})).shape() == Shape{6, 0});
  CHECK(as_rows("op", zeros({2, 3, 4})).shape() == Shape{6, 4});
  CHECK(as_rows("op", zeros({5})).shape() == Shape{1, 5});
  CHECK(as_rows("op", zeros({0, 5})).shape() == Shape{0, 5});
}
