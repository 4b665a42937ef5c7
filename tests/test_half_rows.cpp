// tests/test_half_rows.cpp — rows of f32 become 16 bits and come back as one number does.
#include <doctest/doctest.h>

#include <bit>
#include <cstring>
#include <random>
#include <vector>

#include "tensor/cpu/convert.h"

namespace diptych::test {
namespace {

/// Converts rows of every length that vectors and what is left of them have to deal with.
template <class To, class From>
std::vector<To> in_rows(const std::vector<From>& x) {
  std::vector<To> y(x.size());
  size_t length = 1;
  for (size_t i = 0; i < x.size(); i += length, length = length % 53 + 1)
    cpu::convert(x.data() + i, static_cast<int64_t>(std::min(length, x.size() - i)), y.data() + i);
  return y;
}

/// Numbers whose rounding differs, out of those with the given bits.
template <class Half>
int64_t wrong_roundings(const std::vector<uint32_t>& bits) {
  std::vector<float> x(bits.size());
  std::memcpy(x.data(), bits.data(), bits.size() * sizeof(float));
  const std::vector<Half> rows = in_rows<Half>(x);
  int64_t wrong = 0;
  for (size_t i = 0; i < x.size(); ++i) wrong += rows[i].bits != Half(x[i]).bits;
  return wrong;
}

template <class Half>
int64_t wrong_widenings() {
  std::vector<Half> x(1 << 16);
  for (size_t i = 0; i < x.size(); ++i) x[i].bits = static_cast<uint16_t>(i);
  const std::vector<float> rows = in_rows<float>(x);
  int64_t wrong = 0;
  for (size_t i = 0; i < x.size(); ++i)
    wrong += std::bit_cast<uint32_t>(rows[i]) != std::bit_cast<uint32_t>(float{x[i]});
  return wrong;
}

/// Every result exactly, the middle between it and the next, and the neighbours of both.
std::vector<uint32_t> around_every_result(uint32_t half_ulp) {
  std::vector<uint32_t> bits;
  for (uint64_t middle = 0; middle < uint64_t{1} << 32; middle += half_ulp)
    for (uint32_t d : {0u, 1u, 0xffffffffu}) bits.push_back(static_cast<uint32_t>(middle) + d);
  return bits;
}

/// One in `period` is subnormal.
std::vector<uint32_t> random_bits(size_t period) {
  std::mt19937 rng(1);
  std::vector<uint32_t> bits(1000000);
  for (size_t i = 0; i < bits.size(); ++i)
    bits[i] = static_cast<uint32_t>(rng()) & (i % period == 0 ? 0x807fffffu : 0xffffffffu);
  return bits;
}

}  // namespace

TEST_CASE("half rows: bf16 is rounded as one number is, around every result and anywhere") {
  CHECK(wrong_roundings<bf16>(around_every_result(1u << 15)) == 0);
  CHECK(wrong_roundings<bf16>(random_bits(4)) == 0);
  CHECK(wrong_roundings<bf16>(random_bits(31)) == 0);  // in one of two vectors, and in none
}

TEST_CASE("half rows: f16 is rounded as one number is, around every result and anywhere") {
  CHECK(wrong_roundings<f16>(around_every_result(1u << 12)) == 0);
  CHECK(wrong_roundings<f16>(random_bits(4)) == 0);
}

TEST_CASE("half rows: all 2^16 values of both types are widened as one is") {
  CHECK(wrong_widenings<bf16>() == 0);
  CHECK(wrong_widenings<f16>() == 0);
}

}  // namespace diptych::test
