// cuda/emulator/cudnn.cpp — a double of cuDNN's convolutions: plain loops behind its calls, and
// checks of what the real library takes on trust.
//
//   y[b, p, q, o] = Σ_ijc  w[o, i, j, c] x[b, s p + i - padding, s q + j - padding, c]
//
// All three calls go through the same (x, w, y) triples and add to one of them. Where f32 is not
// computed with plain multiplications its factors are rounded to TF32; algorithms whose sums have
// no fixed order are refused, and so are windows that can stand on padding alone, so that the
// caller's own kernels have something to do.
#include <cudnn.h>

#include <algorithm>

#include "cuda/emulator/library.h"

struct cudnnContext {
  cudaStream_t stream = nullptr;
};
struct cudnnTensorStruct {
  cudnnDataType_t type;
  int64_t n, c, h, w;
};
struct cudnnFilterStruct : cudnnTensorStruct {};
struct cudnnConvolutionStruct {
  int64_t padding, stride;
  cudnnMathType_t math;
};

namespace emu {
namespace {

using diptych::DType;

constexpr size_t kWorkspace = 256;

DType dtype_of(cudnnDataType_t type) {
  need(type != CUDNN_DATA_DOUBLE, "a type that this double does not know");
  return type == CUDNN_DATA_FLOAT ? DType::f32 : type == CUDNN_DATA_HALF ? DType::f16 : DType::bf16;
}

/// A convolution, and where its three arrays are, one of which is wanted.
struct Convolution {
  cudnnTensorStruct x;
  cudnnFilterStruct w;
  cudnnTensorStruct y;
  cudnnConvolutionStruct move;

  int64_t places(int64_t n, int64_t k) const {
    return (n + 2 * move.padding - k) / move.stride + 1;
  }

  cudnnStatus_t check(int algorithm) const {
    need(x.type == w.type && x.type == y.type, "arrays of several types");
    dtype_of(x.type);
    need(x.n == y.n && x.c == w.c && y.c == w.n, "the arrays do not fit each other");
    need(y.h == places(x.h, w.h) && y.w == places(x.w, w.w), "the places are not as many");
    need(algorithm == 1, "an algorithm whose sums have no fixed order, or none of this double's");
    const bool known = move.padding < w.h && move.padding < w.w;
    return known ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
  }

  /// visit(place in x, place in w, place in y) for all that belong together, y's in order.
  template <class F>
  void for_each(F visit) const {
    for (int64_t m = 0; m < y.n * y.h * y.w; ++m)
      for (int64_t k = 0; k < w.n * w.h * w.w; ++k) {
        const int64_t o = k / (w.h * w.w), i = k / w.w % w.h, j = k % w.w;
        const int64_t row = m / y.w % y.h * move.stride + i - move.padding;
        const int64_t column = m % y.w * move.stride + j - move.padding;
        if (row < 0 || row >= x.h || column < 0 || column >= x.w) continue;
        const int64_t pixel = ((m / y.w / y.h * x.h + row) * x.w + column) * x.c;
        for (int64_t c = 0; c < x.c; ++c) visit(pixel + c, k * x.c + c, m * y.c + o);
      }
  }
};

enum Wanted { want_x, want_w, want_y };

std::vector<double> load(const Numbers& from, int64_t n) {
  std::vector<double> numbers(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) numbers[static_cast<size_t>(i)] = from.get(i);
  return numbers;
}

int64_t size(const cudnnTensorStruct& t) { return t.n * t.c * t.h * t.w; }

void run(const Convolution& c, Wanted wanted, const void* x, const void* w, void* y) {
  const void* arrays[] = {x, w, y};
  const int64_t sizes[] = {size(c.x), size(c.w), size(c.y)};
  const DType type = dtype_of(c.x.type);
  const bool tf32 = type == DType::f32 && c.move.math != CUDNN_FMA_MATH;
  std::vector<double> all[3];
  for (int i : {want_x, want_w, want_y})
    all[i] = i == wanted ? std::vector<double>(static_cast<size_t>(sizes[i]))
                         : load({arrays[i], type, tf32}, sizes[i]);
  double *px = all[0].data(), *pw = all[1].data(), *py = all[2].data();
  c.for_each([&](int64_t i, int64_t j, int64_t k) {
    if (wanted == want_y) py[k] += pw[j] * px[i];
    if (wanted == want_x) px[i] += pw[j] * py[k];
    if (wanted == want_w) pw[j] += px[i] * py[k];
  });
  const Numbers to{arrays[wanted], type};
  for (int64_t i = 0; i < sizes[wanted]; ++i) to.put(i, all[wanted][static_cast<size_t>(i)]);
}

cudnnStatus_t query(const char* call, const Convolution& c, int algorithm, size_t* bytes) {
  return guarded(call, CUDNN_STATUS_BAD_PARAM, [&] {
    *bytes = kWorkspace;
    return c.check(algorithm);
  });
}

cudnnStatus_t queue(const char* call, cudnnHandle_t handle, const Convolution& c, int algorithm,
                    Wanted wanted, const void* x, const void* w, const void* y, void* workspace,
                    size_t bytes, const void* alpha, const void* beta) {
  return guarded(call, CUDNN_STATUS_BAD_PARAM, [&] {
    if (const cudnnStatus_t status = c.check(algorithm)) return status;
    const DType type = dtype_of(c.x.type);
    need(Numbers{x, type}.are_there(size(c.x)) && Numbers{w, type}.are_there(size(c.w)) &&
             Numbers{y, type}.are_there(size(c.y)),
         "an array is not all in a block of device memory");
    need(alignment_of(x) >= 16 && alignment_of(w) >= 16 && alignment_of(y) >= 16,
         "an address that is no multiple of 16");
    need(bytes >= kWorkspace && extent(workspace) >= kWorkspace, "the workspace is too small");
    need(*static_cast<const float*>(alpha) == 1 && *static_cast<const float*>(beta) == 0,
         "this double only overwrites");
    const cudaError_t queued = enqueue(handle->stream, call, [=] {
      std::fill_n(static_cast<char*>(workspace), kWorkspace, char(0xff));  // as it may be
      run(c, wanted, x, w, const_cast<void*>(y));
    });
    return queued == cudaSuccess ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_EXECUTION_FAILED;
  });
}

template <class T>
cudnnStatus_t create(T** made) {
  *made = new T{};
  return CUDNN_STATUS_SUCCESS;
}
template <class T>
cudnnStatus_t destroy(T* x) {
  delete x;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t describe(cudnnTensorStruct* t, cudnnTensorFormat_t format, cudnnDataType_t type,
                       int n, int c, int h, int w) {
  return guarded("cuDNN", CUDNN_STATUS_BAD_PARAM, [&] {
    need(n > 0 && c > 0 && h > 0 && w > 0, "an empty array");
    need(format == CUDNN_TENSOR_NHWC, "a layout other than ours");
    t->type = type;
    t->n = n, t->c = c, t->h = h, t->w = w;
    return CUDNN_STATUS_SUCCESS;
  });
}

}  // namespace
}  // namespace emu

extern "C" {

const char* cudnnGetErrorString(cudnnStatus_t) { return "see the emulator's report"; }
cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) { return emu::create(handle); }
cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  handle->stream = stream;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t* x) { return emu::create(x); }
cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t x) { return emu::destroy(x); }
cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t x, cudnnTensorFormat_t format,
                                         cudnnDataType_t type, int n, int c, int h, int w) {
  return emu::describe(x, format, type, n, c, h, w);
}
cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t* x) { return emu::create(x); }
cudnnStatus_t cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t x) { return emu::destroy(x); }
cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t x, cudnnDataType_t type,
                                         cudnnTensorFormat_t format, int k, int c, int h, int w) {
  return emu::describe(x, format, type, k, c, h, w);
}
cudnnStatus_t cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t* x) {
  return emu::create(x);
}
cudnnStatus_t cudnnDestroyConvolutionDescriptor(cudnnConvolutionDescriptor_t x) {
  return emu::destroy(x);
}
cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t x, int padding_h,
                                              int padding_w, int stride_h, int stride_w,
                                              int dilation_h, int dilation_w,
                                              cudnnConvolutionMode_t mode,
                                              cudnnDataType_t compute) {
  return emu::guarded("cudnnSetConvolution2dDescriptor", CUDNN_STATUS_BAD_PARAM, [&] {
    emu::need(padding_h >= 0 && padding_h == padding_w && stride_h > 0 && stride_h == stride_w &&
                  dilation_h == 1 && dilation_w == 1 && mode == CUDNN_CROSS_CORRELATION &&
                  compute == CUDNN_DATA_FLOAT,
              "a convolution other than ours");
    *x = {padding_h, stride_h, CUDNN_DEFAULT_MATH};
    return CUDNN_STATUS_SUCCESS;
  });
}
cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t x, cudnnMathType_t math) {
  x->math = math;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(cudnnHandle_t, cudnnTensorDescriptor_t x,
                                                      cudnnFilterDescriptor_t w,
                                                      cudnnConvolutionDescriptor_t move,
                                                      cudnnTensorDescriptor_t y,
                                                      cudnnConvolutionFwdAlgo_t algorithm,
                                                      size_t* bytes) {
  return emu::query(__func__, {*x, *w, *y, *move}, algorithm, bytes);
}
cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t handle, const void* alpha,
                                      cudnnTensorDescriptor_t of_x, const void* x,
                                      cudnnFilterDescriptor_t of_w, const void* w,
                                      cudnnConvolutionDescriptor_t move,
                                      cudnnConvolutionFwdAlgo_t algorithm, void* workspace,
                                      size_t bytes, const void* beta, cudnnTensorDescriptor_t of_y,
                                      void* y) {
  return emu::queue(__func__, handle, {*of_x, *of_w, *of_y, *move}, algorithm, emu::want_y, x, w, y,
                    workspace, bytes, alpha, beta);
}
cudnnStatus_t cudnnGetConvolutionBackwardDataWorkspaceSize(cudnnHandle_t, cudnnFilterDescriptor_t w,
                                                           cudnnTensorDescriptor_t dy,
                                                           cudnnConvolutionDescriptor_t move,
                                                           cudnnTensorDescriptor_t dx,
                                                           cudnnConvolutionBwdDataAlgo_t algorithm,
                                                           size_t* bytes) {
  return emu::query(__func__, {*dx, *w, *dy, *move}, algorithm, bytes);
}
cudnnStatus_t cudnnConvolutionBackwardData(cudnnHandle_t handle, const void* alpha,
                                           cudnnFilterDescriptor_t of_w, const void* w,
                                           cudnnTensorDescriptor_t of_dy, const void* dy,
                                           cudnnConvolutionDescriptor_t move,
                                           cudnnConvolutionBwdDataAlgo_t algorithm, void* workspace,
                                           size_t bytes, const void* beta,
                                           cudnnTensorDescriptor_t of_dx, void* dx) {
  return emu::queue(__func__, handle, {*of_dx, *of_w, *of_dy, *move}, algorithm, emu::want_x, dx, w,
                    dy, workspace, bytes, alpha, beta);
}
cudnnStatus_t cudnnGetConvolutionBackwardFilterWorkspaceSize(
    cudnnHandle_t, cudnnTensorDescriptor_t x, cudnnTensorDescriptor_t dy,
    cudnnConvolutionDescriptor_t move, cudnnFilterDescriptor_t dw,
    cudnnConvolutionBwdFilterAlgo_t algorithm, size_t* bytes) {
  return emu::query(__func__, {*x, *dw, *dy, *move}, algorithm, bytes);
}
cudnnStatus_t cudnnConvolutionBackwardFilter(cudnnHandle_t handle, const void* alpha,
                                             cudnnTensorDescriptor_t of_x, const void* x,
                                             cudnnTensorDescriptor_t of_dy, const void* dy,
                                             cudnnConvolutionDescriptor_t move,
                                             cudnnConvolutionBwdFilterAlgo_t algorithm,
                                             void* workspace, size_t bytes, const void* beta,
                                             cudnnFilterDescriptor_t of_dw, void* dw) {
  return emu::queue(__func__, handle, {*of_x, *of_dw, *of_dy, *move}, algorithm, emu::want_w, x, dw,
                    dy, workspace, bytes, alpha, beta);
}

}  // extern "C"
