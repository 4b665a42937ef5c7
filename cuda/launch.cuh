// cuda/launch.cuh — how kernels are started, and what their threads share. Every .cu file includes
// this and no header of the toolkit; nvcc builds it for a GPU, g++ with cuda/emulator/include for
// the emulator. The rules that both need are in cuda/README.md.
#pragma once

#include <type_traits>

#include "cuda/runtime.h"
#include "tensor/half.h"
#include "tensor/tensor.h"

#if defined(DIPTYCH_EMULATED)
// DIPTYCH_SHARED and DIPTYCH_DYNAMIC_SHARED come with the emulator's cuda_runtime.h.
#define DIPTYCH_UNROLL
#else
/// A variable that the threads of a block share: DIPTYCH_SHARED(float[32][33], tile);
#define DIPTYCH_SHARED(T, name) __shared__ std::type_identity_t<T> name
/// An array that they share, of the size given to launch().
#define DIPTYCH_DYNAMIC_SHARED(T, name)                                          \
  extern __shared__ __align__(16) unsigned char diptych_dynamic_shared_memory[]; \
  T* const name = reinterpret_cast<T*>(diptych_dynamic_shared_memory)
#define DIPTYCH_UNROLL _Pragma("unroll")
#endif

namespace diptych::cuda {

constexpr int kWarp = 32;
constexpr int kBlock = 256;  ///< threads, at most: more gain nothing, and races are harder to find
constexpr unsigned kAllLanes = 0xffffffffu;

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Blocks and threads, functions of the problem alone: results never depend on the device.
struct Grid {
  int64_t blocks;           ///< blockIdx.x; nothing is launched for 0
  int threads = kBlock;     ///< threadIdx.x, a multiple of kWarp
  int64_t y = 1, z = 1;     ///< blockIdx.y, blockIdx.z, at most 65,535
  size_t shared_bytes = 0;  ///< of DIPTYCH_DYNAMIC_SHARED
};

/// One thread for every `each` of n elements.
inline Grid grid_for(int64_t n, int64_t each = 1) { return {ceil_div(ceil_div(n, each), kBlock)}; }

/// Queues kernel(args…) on stream(). Throws Error, starting with `name`, if the device refuses.
template <class... Parameters, class... Args>
void launch(const char* name, void (*kernel)(Parameters...), const Grid& grid, Args&&... args) {
  if (grid.blocks == 0 || grid.y == 0 || grid.z == 0) return;
  check(grid.blocks <= INT32_MAX && grid.y <= 65535 && grid.z <= 65535, name, ": a grid of ",
        grid.blocks, " x ", grid.y, " x ", grid.z, " blocks is too large");
  constexpr size_t kWithoutAsking = 48 * 1024;
  if (grid.shared_bytes > kWithoutAsking)
    require(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                 cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 static_cast<int>(grid.shared_bytes)),
            name);
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(grid.blocks), static_cast<unsigned>(grid.y),
                        static_cast<unsigned>(grid.z));
  config.blockDim = dim3(static_cast<unsigned>(grid.threads));
  config.dynamicSmemBytes = grid.shared_bytes;
  config.stream = stream();
#if defined(DIPTYCH_EMULATED)
  emu::name_launch(name);
#endif
  require(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(args)...), name);
}

// What follows runs on the device.

/// Which of all threads along x this is.
__device__ inline int64_t thread_number() { return int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }
__device__ inline int lane() { return static_cast<int>(threadIdx.x) % kWarp; }
__device__ inline int warp() { return static_cast<int>(threadIdx.x) / kWarp; }
__device__ inline int warps() { return static_cast<int>(blockDim.x) / kWarp; }

struct Sum {
  template <class A>
  __device__ A operator()(A a, A b) const {
    return a + b;
  }
};
/// NaN if either is.
struct Max {
  template <class A>
  __device__ A operator()(A a, A b) const {
    return a > b || a != a ? a : b;
  }
};

/// x of all lanes combined, in every lane; in the same order on every run.
template <class F, class A>
__device__ A warp_fold(A x, F f) {
  for (int step = kWarp / 2; step > 0; step /= 2) x = f(x, __shfl_xor_sync(kAllLanes, x, step));
  return x;
}

/// x of all threads of the block combined, in every thread; `room`: one A per warp, shared.
template <class F, class A>
__device__ A block_fold(A x, F f, A* room) {
  x = warp_fold(x, f);
  __syncthreads();  // who still reads `room` of the time before
  if (lane() == 0) room[warp()] = x;
  __syncthreads();
  A all = room[0];
  for (int w = 1; w < warps(); ++w) all = f(all, room[w]);
  return all;
}

/// S elements, 16 bytes unless told otherwise, that are read or written at once, from an address
/// that is a multiple of their size.
template <class T, int S = 16 / static_cast<int>(sizeof(T))>
struct alignas(S * sizeof(T)) Pack {
  static constexpr int kSize = S;
  T at[kSize];
};
template <class... T>
bool is_packed(const T*... arrays) {
  return ((reinterpret_cast<uintptr_t>(arrays) % 16 == 0) && ...);
}

/// The elements of an operand or a result that may be absent: null then.
template <class T>
T* data_or_null(const Tensor& x) {
  return x.defined() ? x.data<T>() : nullptr;
}

/// The bits of a value of T out of one of its arithmetic type, and back.
template <class T>
__device__ acc_t<T> widen(T x) {
  return static_cast<acc_t<T>>(x);
}
template <class T>
__device__ T narrow(acc_t<T> x) {
  return static_cast<T>(x);
}

/// Whether i is in [0, n); if not, that is written down.
__device__ inline bool in_range(int64_t i, int64_t n, Indexed op, IndexReport* report) {
  if (0 <= i && i < n) return true;
  atomicExch(report, static_cast<IndexReport>(op) << 56 | static_cast<IndexReport>(n));
  return false;
}

}  // namespace diptych::cuda
