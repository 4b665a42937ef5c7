// tensor/kernel.h — a kernel is a pair of plain functions, one per backend, chosen by device.
#pragma once

#include "tensor/tensor.h"

namespace diptych {

template <class Signature>
class Kernel;

/// The dispatcher behind kernel::name(device, args…). Constant-initialised: no registration, no
/// virtual class, and a backend that lacks a kernel fails to link.
template <class... Args>
class Kernel<void(Args...)> {
 public:
  using Fn = void (*)(Args...);

  constexpr Kernel(const char* name, Fn cpu, Fn cuda) : name_(name), cpu_(cpu), cuda_(cuda) {}

  void operator()(Device device, Args... args) const {
    const Fn fn = device == Device::cpu ? cpu_ : cuda_;
    check(fn != nullptr, name_, ": this build has no ", device, " backend");
    fn(args...);
  }

 private:
  const char* name_;
  Fn cpu_, cuda_;
};

}  // namespace diptych

#if defined(DIPTYCH_CUDA)
#define DIPTYCH_CUDA_FN(name) &cuda::name
#else
#define DIPTYCH_CUDA_FN(name) nullptr
#endif

/// DIPTYCH_KERNEL(name, args…) declares cpu::name, cuda::name and the dispatcher kernel::name.
#define DIPTYCH_KERNEL(name, ...)                                                            \
  namespace cpu {                                                                            \
  void name(__VA_ARGS__);                                                                    \
  }                                                                                          \
  namespace cuda {                                                                           \
  void name(__VA_ARGS__);                                                                    \
  }                                                                                          \
  namespace kernel {                                                                         \
  inline constexpr Kernel<void(__VA_ARGS__)> name{#name, &cpu::name, DIPTYCH_CUDA_FN(name)}; \
  }
