// cuda/none.cpp — the cuda backend of a build that has none: every kernel of tensor/kernels.h, and
// what tensor/device.h asks of a backend, as functions that say so.
#include "tensor/device.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"

namespace diptych::cuda {
namespace {

[[noreturn]] void refuse(const char* what) { fail(what, ": this build has no cuda backend"); }

}  // namespace

bool available() { return false; }
const char* why_not() {
  return "this program was built without; build another with `make cuda`, or with `make emu` for "
         "an emulated one";
}
void synchronize() {}
CachingAllocator& allocator() { refuse("allocator"); }
void copy_across(const Tensor& source, Tensor& target) { refuse("copy"); }
std::function<void()> copy_to_host(const Tensor& source, Tensor& target) { refuse("copy"); }
Tensor page_locked(Shape shape, DType dtype) { refuse("page-locked memory"); }

}  // namespace diptych::cuda

#define DIPTYCH_KERNEL(name, ...)           \
  namespace cuda {                          \
  void name(__VA_ARGS__) { refuse(#name); } \
  }
#include "tensor/kernels.h"
