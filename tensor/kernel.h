// tensor/kernel.h — a kernel is a pair of plain functions, one per backend, chosen by device.
#pragma once

#include "tensor/tensor.h"

namespace diptych {

template <class Signature>
class Kernel;

/// The dispatcher behind kernel::name(device, args…). Constant-initialised: no registration, no
/// virtual class, and a backend that lacks a kernel fails to link. Which cuda:: functions there are
/// is decided by the link, so that no object is compiled twice: the real ones, or those of
/// cuda/none.cpp, which throw.
template <class... Args>
class Kernel<void(Args...)> {
 public:
  using Fn = void (*)(Args...);

  constexpr Kernel(Fn cpu, Fn cuda) : cpu_(cpu), cuda_(cuda) {}

  void operator()(Device device, Args... args) const {
    (device == Device::cpu ? cpu_ : cuda_)(args...);
  }

 private:
  Fn cpu_, cuda_;
};

}  // namespace diptych

/// DIPTYCH_KERNEL(name, args…) declares cpu::name, cuda::name and the dispatcher kernel::name. Who
/// wants something else of each line of kernels.h defines it before including that.
#if !defined(DIPTYCH_KERNEL)
#define DIPTYCH_KERNEL(name, ...)                                           \
  namespace cpu {                                                           \
  void name(__VA_ARGS__);                                                   \
  }                                                                         \
  namespace cuda {                                                          \
  void name(__VA_ARGS__);                                                   \
  }                                                                         \
  namespace kernel {                                                        \
  inline constexpr Kernel<void(__VA_ARGS__)> name{&cpu::name, &cuda::name}; \
  }
#endif
