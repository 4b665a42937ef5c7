// cuda/emulator/library.h — what the doubles of libraries share: refusals, and numbers of any type.
#pragma once

#include <cmath>
#include <cstring>
#include <vector>

#include "cuda/emulator/emulator.h"
#include "tensor/types.h"

namespace emu {

/// What a double says of a call that the real library might take on trust, or refuse with less to
/// say: thrown by need(), reported by the called function.
struct Mistake {
  const char* text;
};
inline void need(bool ok, const char* otherwise) {
  if (!ok) throw Mistake{otherwise};
}

/// Runs a call's body: `bad` after a report if it made a mistake.
template <class Status, class F>
Status guarded(const char* call, Status bad, F body) {
  try {
    return body();
  } catch (const Mistake& mistake) {
    tell(std::string(call) + ": " + mistake.text);
    return bad;
  }
}

/// The largest power of two up to 256 that divides an address.
inline uint64_t alignment_of(const void* p) {
  uint64_t alignment = 256;
  while (reinterpret_cast<uintptr_t>(p) % alignment != 0) alignment /= 2;
  return alignment;
}

/// An array in device memory. `tf32`: read with the 10 bits of fraction that TF32 has.
struct Numbers {
  const void* data;
  diptych::DType type;
  bool tf32 = false;

  bool are_there(int64_t n) const {
    return n == 0 || extent(data) >= static_cast<size_t>(n * diptych::size_of(type));
  }
  double get(int64_t i) const {
    return diptych::visit_float(type, [&]<class T>(diptych::Type<T>) -> double {
      const auto x = static_cast<diptych::acc_t<T>>(static_cast<const T*>(data)[i]);
      if (!tf32) return x;
      const auto bits = std::bit_cast<uint32_t>(static_cast<float>(x));
      return std::bit_cast<float>((bits + 0x1000u) & 0xffffe000u);
    });
  }
  void put(int64_t i, double x) const {
    diptych::visit_float(type, [&]<class T>(diptych::Type<T>) {
      static_cast<T*>(const_cast<void*>(data))[i] = T(static_cast<diptych::acc_t<T>>(x));
    });
  }
  double rounded(double x) const {
    return diptych::visit_float(type, [&]<class T>(diptych::Type<T>) -> double {
      return static_cast<diptych::acc_t<T>>(T(static_cast<diptych::acc_t<T>>(x)));
    });
  }
};

}  // namespace emu
