// data/permutation.h — a shuffled order that is computed, not stored.
#pragma once

#include <bit>
#include <cstdint>

#include "tensor/philox.h"

namespace diptych {

/// A bijection of {0, …, n-1} chosen by (seed, epoch): the order of an epoch without an array, so
/// that resuming at any position needs nothing but that position.
///
/// A Feistel network permutes {0, …, 4ᵏ-1} ⊇ {0, …, n-1}: each round maps the halves (l, r) to
/// (r, l ⊕ F(r)), which is invertible for any F. Values ≥ n are fed through again until they land
/// inside ("cycle walking", Black and Rogaway, 2002): under 4 rounds on average, as 4ᵏ < 4n.
class Permutation {
 public:
  Permutation(int64_t n, uint64_t seed, int64_t epoch)
      : n_(static_cast<uint64_t>(n)), key_(mix(seed, static_cast<uint64_t>(epoch))) {
    const int bits = n > 1 ? static_cast<int>(std::bit_width(n_ - 1)) : 1;
    half_bits_ = (bits + 1) / 2;
  }

  int64_t operator()(int64_t i) const {
    uint64_t x = static_cast<uint64_t>(i);
    do x = feistel(x);
    while (x >= n_);
    return static_cast<int64_t>(x);
  }

 private:
  static constexpr uint64_t kRounds = 8;

  uint64_t feistel(uint64_t x) const {
    const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
    uint64_t left = x >> half_bits_, right = x & mask;
    for (uint64_t round = 0; round < kRounds; ++round) {
      const uint64_t mixed = left ^ (mix(mix(key_, round), right) & mask);
      left = right;
      right = mixed;
    }
    return left << half_bits_ | right;
  }

  uint64_t n_, key_;
  int half_bits_;
};

}  // namespace diptych
