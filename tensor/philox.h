// tensor/philox.h — counter-based random numbers: a pure function of (seed, stream, element).
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

#include "tensor/half.h"

namespace diptych {

/// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): four
/// 32-bit words from a 128-bit counter and a 64-bit key. Same bits on CPU and CUDA; nothing to
/// save.
struct Philox {
  using Block = std::array<uint32_t, 4>;

  DIPTYCH_HD static Block block(Block counter, std::array<uint32_t, 2> key) {
    for (int round = 0; round < 10; ++round) {
      const uint64_t p0 = uint64_t{0xD2511F53u} * counter[0];
      const uint64_t p1 = uint64_t{0xCD9E8D57u} * counter[2];
      counter = {static_cast<uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(p1),
                 static_cast<uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(p0)};
      key[0] += 0x9E3779B9u;
      key[1] += 0xBB67AE85u;
    }
    return counter;
  }

  /// Words 4i … 4i+3 of the sequence (seed, stream).
  DIPTYCH_HD static Block at(uint64_t seed, uint64_t stream, uint64_t i) {
    return block({static_cast<uint32_t>(i), static_cast<uint32_t>(i >> 32),
                  static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)},
                 {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  }
};

/// [0, 1) with 24 bits: exact in f32.
DIPTYCH_HD inline double to_unit(uint32_t word) { return static_cast<double>(word >> 8) * 0x1p-24; }

/// Whether what happens with probability `rate` does not.
DIPTYCH_HD inline bool is_kept(uint32_t word, double rate) {
  return static_cast<double>(word) * 0x1p-32 >= rate;
}

/// A standard normal by Box and Muller, from two words.
DIPTYCH_HD inline double to_normal(uint32_t a, uint32_t b) {
  const double radius = std::sqrt(-2.0 * std::log((static_cast<double>(a) + 1.0) * 0x1p-32));
  return radius * std::cos(6.283185307179586 * static_cast<double>(b) * 0x1p-32);
}

/// A small sequential generator over one Philox sequence, for host code that draws a few numbers:
/// crops, shuffles, test inputs.
class PhiloxStream {
 public:
  PhiloxStream(uint64_t seed, uint64_t stream) : seed_(seed), stream_(stream) {}

  uint32_t next() {
    if (used_ == 4) {
      block_ = Philox::at(seed_, stream_, index_++);
      used_ = 0;
    }
    return block_[static_cast<size_t>(used_++)];
  }
  double uniform() { return to_unit(next()); }  ///< [0, 1)
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  double normal() {
    const uint32_t a = next();
    return to_normal(a, next());
  }
  /// 0 … n-1 (n < 2³²), unbiased to 2⁻³².
  int64_t below(int64_t n) {
    return static_cast<int64_t>((uint64_t{next()} * static_cast<uint64_t>(n)) >> 32);
  }

 private:
  uint64_t seed_, stream_, index_ = 0;
  Philox::Block block_{};
  int used_ = 4;
};

/// Mixes two numbers into a stream id (splitmix64 finaliser).
inline uint64_t mix(uint64_t a, uint64_t b) {
  uint64_t z = a + 0x9E3779B97F4A7C15u * (b + 1);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

}  // namespace diptych
