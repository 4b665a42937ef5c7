// tensor/types.h — the vocabulary of every file: Error, check, DType, Device, Shape, visit.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <ostream>
#include <sstream>
#include <stdexcept>
#include <string>

#include "tensor/half.h"

namespace diptych {

/// The one exception type. Its text starts with the operation, contains shapes or file names, and
/// ends with the likely fix where there is one:
/// "matmul: inner dimensions differ: a (2, 3), b (2, 3)".
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Throws Error with the arguments written one after the other.
template <class... Args>
[[noreturn]] void fail(const Args&... args) {
  std::ostringstream text;
  (text << ... << args);
  throw Error(text.str());
}

/// Throws Error with the arguments written one after the other, unless `ok`.
template <class... Args>
void check(bool ok, const Args&... args) {
  if (!ok) [[unlikely]] {
    fail(args...);
  }
}

/// Element types. f16 and bf16 are storage types: kernels compute in f32 (see acc_t). f64 is for
/// gradcheck.
enum class DType : uint8_t { f32, f64, f16, bf16, i64, u8 };

const char* name(DType);
int64_t size_of(DType);  ///< bytes per element
bool is_float(DType);
inline std::ostream& operator<<(std::ostream& os, DType t) { return os << name(t); }

/// Where a tensor lives. One process drives one accelerator, so `cuda` needs no index.
enum class Device : uint8_t { cpu, cuda };

inline const char* name(Device d) { return d == Device::cpu ? "cpu" : "cuda"; }
inline std::ostream& operator<<(std::ostream& os, Device d) { return os << name(d); }

/// Extents of an array, outermost first. Rank ≤ 6, held inline and trivially copyable, so that it
/// can be passed by value to a CUDA kernel. Also used for strides.
class Shape {
 public:
  static constexpr int kMaxRank = 6;

  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) {
    for (int64_t d : dims) push_back(d);
  }

  int rank() const { return rank_; }
  int64_t& operator[](int i) { return dims_[static_cast<size_t>(i)]; }
  int64_t operator[](int i) const { return dims_[static_cast<size_t>(i)]; }
  int64_t back() const { return dims_[static_cast<size_t>(rank_ - 1)]; }
  const int64_t* begin() const { return dims_.data(); }
  const int64_t* end() const { return dims_.data() + rank_; }

  void push_back(int64_t d) {
    check(rank_ < kMaxRank, "Shape: rank is limited to ", kMaxRank);
    dims_[static_cast<size_t>(rank_++)] = d;
  }

  int64_t numel() const {
    int64_t n = 1;
    for (int64_t d : *this) n *= d;
    return n;
  }

  friend bool operator==(const Shape& a, const Shape& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  std::array<int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

std::ostream& operator<<(std::ostream&, const Shape&);  ///< "(2, 3)"

/// False if an extent is negative, or if the size or a stride of such an array could overflow, even
/// where another extent is zero.
bool is_addressable(const Shape&);

/// Names a C++ type in a call: visit(dtype, []<class T>(Type<T>) { … }).
template <class T>
struct Type {
  using type = T;
};

template <class T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, float>) {
    return DType::f32;
  } else if constexpr (std::is_same_v<T, double>) {
    return DType::f64;
  } else if constexpr (std::is_same_v<T, f16>) {
    return DType::f16;
  } else if constexpr (std::is_same_v<T, bf16>) {
    return DType::bf16;
  } else if constexpr (std::is_same_v<T, int64_t>) {
    return DType::i64;
  } else {
    static_assert(std::is_same_v<T, uint8_t>, "not the C++ type of any dtype");
    return DType::u8;
  }
}

/// Calls f(Type<T>{}) with the C++ type of a floating-point dtype; throws Error for the others.
template <class F>
decltype(auto) visit_float(DType t, F&& f) {
  switch (t) {
    case DType::f32:
      return f(Type<float>{});
    case DType::f64:
      return f(Type<double>{});
    case DType::f16:
      return f(Type<f16>{});
    case DType::bf16:
      return f(Type<bf16>{});
    default:
      fail("expected a floating-point tensor, got ", t);
  }
}

/// Calls f(Type<T>{}) with the C++ type of any dtype.
template <class F>
decltype(auto) visit_all(DType t, F&& f) {
  switch (t) {
    case DType::i64:
      return f(Type<int64_t>{});
    case DType::u8:
      return f(Type<uint8_t>{});
    default:
      return visit_float(t, std::forward<F>(f));
  }
}

}  // namespace diptych
