// tensor/types.h — the vocabulary of every file: Error, check, DType, Device, Shape, visit.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "tensor/half.h"

namespace diptych {

/// The one exception type. Its text starts with the operation, contains shapes or file names, and
/// ends with the likely fix where there is one:
/// "matmul: inner dimensions differ: a (2, 3), b (2, 3)".
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// What may stand in an error message: each is written as std::ostream would write it. A type of
// one's own joins by an append_text beside it.
void append_text(std::string&, std::string_view);
void append_text(std::string&, double);  ///< six significant digits
void append_text(std::string&, char);
template <std::integral T>
void append_text(std::string& text, T n) {
  static_assert(sizeof(T) > 1, "8 bits: a character or a number?");
  append_text(text, std::to_string(n));
}

/// Throws Error with the arguments written one after the other.
template <class... Args>
[[noreturn]] void fail(const Args&... args) {
  std::string text;
  (append_text(text, args), ...);
  throw Error(text);
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
inline void append_text(std::string& text, DType t) { append_text(text, name(t)); }
std::ostream& operator<<(std::ostream&, DType);

/// Where a tensor lives. One process drives one accelerator, so `cuda` needs no index.
enum class Device : uint8_t { cpu, cuda };

inline const char* name(Device d) { return d == Device::cpu ? "cpu" : "cuda"; }
inline void append_text(std::string& text, Device d) { append_text(text, name(d)); }
std::ostream& operator<<(std::ostream&, Device);

/// Extents of an array, outermost first. Rank ≤ 6, held inline and trivially copyable, so that it
/// can be passed by value to a CUDA kernel and read there. Also used for strides.
class Shape {
 public:
  static constexpr int kMaxRank = 6;

  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) {
    for (int64_t d : dims) push_back(d);
  }

  DIPTYCH_HD int rank() const { return rank_; }
  DIPTYCH_HD int64_t& operator[](int i) { return dims_[i]; }
  DIPTYCH_HD int64_t operator[](int i) const { return dims_[i]; }
  DIPTYCH_HD int64_t back() const { return dims_[rank_ - 1]; }
  DIPTYCH_HD const int64_t* begin() const { return dims_; }
  DIPTYCH_HD const int64_t* end() const { return dims_ + rank_; }

  void push_back(int64_t d) {
    check(rank_ < kMaxRank, "Shape: rank is limited to ", kMaxRank);
    dims_[rank_++] = d;
  }

  DIPTYCH_HD int64_t numel() const {
    int64_t n = 1;
    for (int64_t d : *this) n *= d;
    return n;
  }

  DIPTYCH_HD friend bool operator==(const Shape& a, const Shape& b) {
    bool same = a.rank_ == b.rank_;
    for (int i = 0; same && i < a.rank_; ++i) same = a.dims_[i] == b.dims_[i];
    return same;
  }

 private:
  int64_t dims_[kMaxRank] = {};
  int rank_ = 0;
};

void append_text(std::string&, const Shape&);  ///< "(2, 3)"
std::ostream& operator<<(std::ostream&, const Shape&);

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

/// Calls f(Type<T>{}) with float or double; throws Error for other dtypes.
template <class F>
decltype(auto) visit_wide(DType t, F&& f) {
  switch (t) {
    case DType::f32:
      return f(Type<float>{});
    case DType::f64:
      return f(Type<double>{});
    default:
      fail("expected an f32 or f64 tensor, got ", t);
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
