// cuda/emulator/library.h — what the doubles of libraries share: refusals, and numbers of any type.
#pragma once

#include <algorithm>
#include <bit>
#include <string>
#include <vector>

#include "cuda/emulator/emulator.h"
#include "tensor/types.h"

namespace emu {

using diptych::DType;

/// Thrown by need() inside of guarded().
struct Mistake {
  const char* text;
};
inline void need(bool ok, const char* otherwise) {
  if (!ok) throw Mistake{otherwise};
}

/// What body() returns, or `bad` after a report if it needed something that was not so.
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
  const auto address = reinterpret_cast<uintptr_t>(p) | 256;
  return address & -address;
}

/// Every algorithm wants so many bytes; what is in them gets lost.
constexpr size_t kWorkspace = 256;
inline void use_workspace(void* p) { std::fill_n(static_cast<char*>(p), kWorkspace, char(0xff)); }

/// An array in device memory. `tf32`: its numbers are read with TF32's 10 bits of fraction.
struct Numbers {
  const void* data;
  DType type;
  bool tf32 = false;

  void need_all(int64_t n, const char* otherwise) const {
    need(extent(data) >= static_cast<size_t>(n * diptych::size_of(type)), otherwise);
  }
  double get(int64_t i) const {
    return diptych::visit_float(type, [&]<class T>(diptych::Type<T>) -> double {
      const auto x = static_cast<diptych::acc_t<T>>(static_cast<const T*>(data)[i]);
      const auto bits = std::bit_cast<uint32_t>(static_cast<float>(x));
      return tf32 ? std::bit_cast<float>((bits + 0x1000u) & 0xffffe000u) : x;
    });
  }
  void put(int64_t i, double x) const {
    diptych::visit_float(type, [&]<class T>(diptych::Type<T>) {
      static_cast<T*>(const_cast<void*>(data))[i] = T(static_cast<diptych::acc_t<T>>(x));
    });
  }
};

}  // namespace emu
