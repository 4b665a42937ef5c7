// cuda/emulator/device.h — what a kernel sees: who it is, what its block shares, barriers, the
// operations of a warp, atomic operations. A thread that has to wait switches to another one; see
// schedule.cpp. The calls have CUDA's names and meaning (CUDA C++ Programming Guide, 10.4
// to 10.22).
#pragma once

#include <bit>
#include <cmath>  // like the toolkit's header
#include <cstdint>
#include <source_location>
#include <type_traits>

// Plain variables, set whenever another thread goes on: a debugger can print them.
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
constexpr int warpSize = 32;

namespace emu {

/// The name of this host thread's next launch, for reports.
void name_launch(const char* name);

/// Where in a kernel a call stands: a default argument, so that every report has file and line.
using Where = std::source_location;

/// Returns once all threads of the block are here.
void barrier(Where);

/// What the lanes of a warp do together. Each lane of `mask` gives `mine`, its registers; when the
/// last one has come, that lane calls all(registers of lane 0, …, 31; null for a lane outside the
/// mask), which puts every lane's result into its registers, and all go on. `fence`: what a lane
/// wrote to memory before, the others may read afterwards.
void collective(const char* name, unsigned mask, void* mine, void (*all)(void* const* lanes),
                bool fence, Where);

/// The same for registers of type T. F is a lambda without captures, called as F(T* const* lanes).
template <class T, class F>
void collective(const char* name, unsigned mask, T& mine, F, Where where) {
  const auto all = [](void* const* lanes) {
    T* typed[32];
    for (int i = 0; i < 32; ++i) typed[i] = static_cast<T*>(lanes[i]);
    F{}(static_cast<T* const*>(typed));
  };
  collective(name, mask, &mine, all, false, where);
}

/// The running block's variable of this tag; the name is for reports.
void* shared(const char* tag, const char* name, size_t bytes, size_t alignment);
void* dynamic_shared();

/// Ends the launch with cudaErrorLaunchFailure and a report that names kernel, block and thread.
[[noreturn]] void stop(Where, const char* format, ...) __attribute__((format(printf, 2, 3)));

unsigned lane();

/// A lane's part in a shuffle: what it gives, then what it gets from lane `from`.
template <class T>
struct Shuffle {
  T value;
  unsigned from;
};

template <class T>
T shuffle(const char* name, unsigned mask, T value, unsigned from, Where where) {
  static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8));
  if (!(mask >> from & 1)) stop(where, "%s reads lane %u, outside its mask %#x", name, from, mask);
  Shuffle<T> mine{value, from};
  collective(
      name, mask, mine,
      [](Shuffle<T>* const* lanes) {
        T given[32] = {};
        for (int i = 0; i < 32; ++i)
          if (lanes[i]) given[i] = lanes[i]->value;
        for (int i = 0; i < 32; ++i)
          if (lanes[i]) lanes[i]->value = given[lanes[i]->from];
      },
      where);
  return mine.value;
}

/// A bit for every lane of the mask whose predicate holds.
inline unsigned ballot(const char* name, unsigned mask, bool predicate, Where where) {
  unsigned mine = predicate;
  collective(
      name, mask, mine,
      [](unsigned* const* lanes) {
        unsigned votes = 0;
        for (int i = 0; i < 32; ++i) votes |= lanes[i] ? *lanes[i] << i : 0u;
        for (int i = 0; i < 32; ++i)
          if (lanes[i]) *lanes[i] = votes;
      },
      where);
  return mine;
}

}  // namespace emu

#define DIPTYCH_SHARED(T, name)                                          \
  static char name##_tag;                                                \
  auto& name = *static_cast<std::type_identity_t<T>*>(                   \
      ::emu::shared(&name##_tag, #name, sizeof(std::type_identity_t<T>), \
                    std::alignment_of_v<std::type_identity_t<T>>))
#define DIPTYCH_DYNAMIC_SHARED(T, name) T* const name = static_cast<T*>(::emu::dynamic_shared())

inline void __syncthreads(emu::Where where = emu::Where::current()) { emu::barrier(where); }

inline void __syncwarp(unsigned mask = ~0u, emu::Where where = emu::Where::current()) {
  emu::collective(
      "__syncwarp", mask, nullptr, [](void* const*) {}, true, where);
}

// Shuffles work within segments of `width` lanes: a lane whose partner would lie beyond the end of
// its segment keeps its own value.
template <class T>
T __shfl_sync(unsigned mask, T x, int from, int width = 32,
              emu::Where where = emu::Where::current()) {
  const unsigned last = static_cast<unsigned>(width) - 1;
  const unsigned partner = (emu::lane() & ~last) | (static_cast<unsigned>(from) & last);
  return emu::shuffle("__shfl_sync", mask, x, partner, where);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T x, int flip, int width = 32,
                  emu::Where where = emu::Where::current()) {
  const unsigned lane = emu::lane(), partner = lane ^ static_cast<unsigned>(flip);
  const bool inside = partner <= (lane | (static_cast<unsigned>(width) - 1));
  return emu::shuffle("__shfl_xor_sync", mask, x, inside ? partner : lane, where);
}
template <class T>
T __shfl_up_sync(unsigned mask, T x, unsigned delta, int width = 32,
                 emu::Where where = emu::Where::current()) {
  const unsigned lane = emu::lane(), place = lane & (static_cast<unsigned>(width) - 1);
  return emu::shuffle("__shfl_up_sync", mask, x, delta <= place ? lane - delta : lane, where);
}
template <class T>
T __shfl_down_sync(unsigned mask, T x, unsigned delta, int width = 32,
                   emu::Where where = emu::Where::current()) {
  const unsigned lane = emu::lane(), place = lane & (static_cast<unsigned>(width) - 1);
  const bool inside = place + delta < static_cast<unsigned>(width);
  return emu::shuffle("__shfl_down_sync", mask, x, inside ? lane + delta : lane, where);
}

inline unsigned __ballot_sync(unsigned mask, int predicate,
                              emu::Where where = emu::Where::current()) {
  return emu::ballot("__ballot_sync", mask, predicate != 0, where);
}
inline int __any_sync(unsigned mask, int predicate, emu::Where where = emu::Where::current()) {
  return emu::ballot("__any_sync", mask, predicate != 0, where) != 0;
}
inline int __all_sync(unsigned mask, int predicate, emu::Where where = emu::Where::current()) {
  return emu::ballot("__all_sync", mask, predicate != 0, where) == mask;
}

// Real atomic operations, without order, as on a GPU; ThreadSanitizer would report others.
template <class T>
concept Countable = std::is_integral_v<T> &&(sizeof(T) == 4 || sizeof(T) == 8);

template <Countable T>
T atomicAdd(T* p, std::type_identity_t<T> x) {
  return __atomic_fetch_add(p, x, __ATOMIC_RELAXED);
}
template <Countable T>
T atomicExch(T* p, std::type_identity_t<T> x) {
  return __atomic_exchange_n(p, x, __ATOMIC_RELAXED);
}
template <Countable T>
T atomicCAS(T* p, std::type_identity_t<T> expected, std::type_identity_t<T> x) {
  __atomic_compare_exchange_n(p, &expected, x, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return expected;
}
template <Countable T>
T atomicMax(T* p, std::type_identity_t<T> x) {
  T old = __atomic_load_n(p, __ATOMIC_RELAXED);
  while (old < x &&
         !__atomic_compare_exchange_n(p, &old, x, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return old;
}

inline int __popc(unsigned x) { return std::popcount(x); }
