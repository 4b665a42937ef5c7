// tensor/cpu/scratch.h — working memory of a kernel, kept from call to call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>

#include "tensor/cpu/simd.h"
#include "tensor/types.h"

namespace diptych::cpu {

/// A buffer that grows and is never copied. Use it as `static thread_local Scratch`: after the
/// first call a kernel allocates nothing.
class Scratch {
 public:
  Scratch() = default;
  ~Scratch() { free(); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  /// Room for n elements, aligned to a cache line; what was in it before is gone.
  template <class T>
  T* get(int64_t n) {
    const size_t bytes = static_cast<size_t>(n) * sizeof(T);
    if (bytes > bytes_) grow(bytes);
    return static_cast<T*>(data_);
  }

 private:
  static constexpr std::align_val_t kAlignment{64};

  void free() { ::operator delete(data_, kAlignment); }
  void grow(size_t bytes) {
    free();
    data_ = nullptr;
    bytes_ = 0;
    data_ = ::operator new(bytes, kAlignment, std::nothrow);
    check(data_ != nullptr, "kernel: out of memory: asked for ", bytes >> 20,
          " MiB to work in; a smaller batch may fit");
    bytes_ = bytes;
  }

  void* data_ = nullptr;
  size_t bytes_ = 0;
};

/// Hands out pieces of one allocation, each aligned to a vector.
template <class A>
class Pieces {
 public:
  explicit Pieces(A* memory) : next_(memory) {}
  A* take(int64_t n) {
    A* piece = next_;
    next_ += padded<A>(n);
    return piece;
  }

 private:
  A* next_;
};

}  // namespace diptych::cpu
