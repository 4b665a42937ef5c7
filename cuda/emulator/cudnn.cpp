// cuda/emulator/cudnn.cpp — a double of cuDNN's convolutions: plain loops behind its calls, and
// checks of what the real library takes on trust.
//
//   y[b, p, q, o] = Σ_ijc  w[o, i, j, c] x[b, s p + i - padding, s q + j - padding, c]
//
// All three calls go through the same (x, w, y) and add to one of them. Where f32 is not computed
// with plain multiplications, factors are rounded to TF32. Algorithms without a fixed order of
// their sums are refused, and windows that can stand on padding alone are not supported, so that
// the caller's own kernels have something to do.
#include <cudnn.h>

#include "cuda/emulator/library.h"

using Move = cudnnConvolutionDescriptor_t;
using Pictures = cudnnTensorDescriptor_t;
using Weights = cudnnFilterDescriptor_t;
using Status = cudnnStatus_t;

using emu::DType;

struct cudnnContext {
  cudaStream_t stream;
};
struct cudnnTensorStruct {
  DType type;
  int64_t n, c, h, w;
  int64_t size() const { return n * c * h * w; }
};
struct cudnnFilterStruct : cudnnTensorStruct {};
struct cudnnConvolutionStruct {
  int64_t padding, stride;
  cudnnMathType_t math;
};

namespace emu {
namespace {

enum Which { the_x, the_w, the_y };

/// y = x convolved with w, whichever of the three is wanted.
struct Convolution {
  cudnnTensorStruct x, w, y;
  cudnnConvolutionStruct move;

  Status check(int algorithm) const {
    const auto places = [&](int64_t n, int64_t k) {
      return (n + 2 * move.padding - k) / move.stride + 1;
    };
    need(x.type == w.type && x.type == y.type, "arrays of several types");
    need(x.n == y.n && x.c == w.c && y.c == w.n, "arrays that do not fit each other");
    need(y.h == places(x.h, w.h) && y.w == places(x.w, w.w), "not as many places as there are");
    need(algorithm == 1, "an algorithm without a fixed order, or unknown to this double");
    const bool known = move.padding < w.h && move.padding < w.w;
    return known ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
  }

  /// visit(index in x, index in w, index in y) for all that belong together.
  template <class F>
  void for_each(F visit) const {
    for (int64_t m = 0; m < y.n * y.h * y.w; ++m)
      for (int64_t k = 0; k < w.n * w.h * w.w; ++k) {
        const int64_t row = m / y.w % y.h * move.stride + k / w.w % w.h - move.padding;
        const int64_t column = m % y.w * move.stride + k % w.w - move.padding;
        if (row < 0 || row >= x.h || column < 0 || column >= x.w) continue;
        const int64_t pixel = (m / y.w / y.h * x.h + row) * x.w + column;
        const int64_t result = m * y.c + k / (w.h * w.w);
        for (int64_t c = 0; c < x.c; ++c) visit(pixel * x.c + c, k * x.c + c, result);
      }
  }

  void run(const void* const arrays[3], Which wanted) const {
    const int64_t sizes[] = {x.size(), w.size(), y.size()};
    const bool tf32 = x.type == DType::f32 && move.math != CUDNN_FMA_MATH;
    std::vector<double> all[3];
    for (int a : {the_x, the_w, the_y})
      for (int64_t i = 0; i < sizes[a]; ++i)
        all[a].push_back(a == wanted ? 0 : Numbers{arrays[a], x.type, tf32}.get(i));
    double *px = all[the_x].data(), *pw = all[the_w].data(), *py = all[the_y].data();
    for_each([&](int64_t i, int64_t j, int64_t k) {
      if (wanted == the_x) px[i] += pw[j] * py[k];
      if (wanted == the_w) pw[j] += px[i] * py[k];
      if (wanted == the_y) py[k] += pw[j] * px[i];
    });
    for (int64_t i = 0; i < sizes[wanted]; ++i)
      Numbers{arrays[wanted], x.type}.put(i, all[wanted][static_cast<size_t>(i)]);
  }
};

Status ask(const char* call, const Convolution& c, int algorithm, size_t* bytes) {
  *bytes = kWorkspace;
  return guarded(call, CUDNN_STATUS_BAD_PARAM, [&] { return c.check(algorithm); });
}

Status queue(const char* call, cudnnHandle_t handle, const Convolution& c, int algorithm,
             Which wanted, const void* x, const void* w, const void* y, void* workspace,
             size_t bytes, const void* alpha, const void* beta) {
  return guarded(call, CUDNN_STATUS_BAD_PARAM, [&] {
    if (const Status status = c.check(algorithm)) return status;
    Numbers{x, c.x.type}.need_all(c.x.size(), "x is not all in a block of device memory");
    Numbers{w, c.x.type}.need_all(c.w.size(), "w is not all in a block of device memory");
    Numbers{y, c.x.type}.need_all(c.y.size(), "y is not all in a block of device memory");
    for (const void* p : {x, w, y, static_cast<const void*>(workspace)})
      need(alignment_of(p) >= 16, "an address that is no multiple of 16");
    need(bytes >= kWorkspace && extent(workspace) >= kWorkspace, "a small workspace");
    need(*static_cast<const float*>(alpha) == 1 && *static_cast<const float*>(beta) == 0,
         "results that are not simply overwritten");
    const cudaError_t queued = enqueue(handle->stream, call, [=] {
      use_workspace(workspace);
      const void* const arrays[] = {x, w, y};
      c.run(arrays, wanted);
    });
    return queued == cudaSuccess ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_EXECUTION_FAILED;
  });
}

template <class T>
Status create(T** made) {
  *made = new T{};
  return CUDNN_STATUS_SUCCESS;
}
template <class T>
Status destroy(T* x) {
  delete x;
  return CUDNN_STATUS_SUCCESS;
}

Status describe(const char* call, cudnnTensorStruct* t, cudnnTensorFormat_t format,
                cudnnDataType_t type, int n, int c, int h, int w) {
  return guarded(call, CUDNN_STATUS_BAD_PARAM, [&] {
    need(n > 0 && c > 0 && h > 0 && w > 0, "an empty array");
    need(format == CUDNN_TENSOR_NHWC && type != CUDNN_DATA_DOUBLE, "another layout, or f64");
    t->type = type == CUDNN_DATA_FLOAT  ? DType::f32
              : type == CUDNN_DATA_HALF ? DType::f16
                                        : DType::bf16;
    t->n = n, t->c = c, t->h = h, t->w = w;
    return CUDNN_STATUS_SUCCESS;
  });
}

}  // namespace
}  // namespace emu

extern "C" {

const char* cudnnGetErrorString(Status) { return "see the emulator's report"; }
Status cudnnCreate(cudnnHandle_t* handle) { return emu::create(handle); }
Status cudnnDestroy(cudnnHandle_t handle) { return emu::destroy(handle); }
Status cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  handle->stream = stream;
  return CUDNN_STATUS_SUCCESS;
}

Status cudnnCreateTensorDescriptor(Pictures* x) { return emu::create(x); }
Status cudnnDestroyTensorDescriptor(Pictures x) { return emu::destroy(x); }
Status cudnnSetTensor4dDescriptor(Pictures x, cudnnTensorFormat_t format, cudnnDataType_t type,
                                  int n, int c, int h, int w) {
  return emu::describe(__func__, x, format, type, n, c, h, w);
}
Status cudnnCreateFilterDescriptor(Weights* x) { return emu::create(x); }
Status cudnnDestroyFilterDescriptor(Weights x) { return emu::destroy(x); }
Status cudnnSetFilter4dDescriptor(Weights x, cudnnDataType_t type, cudnnTensorFormat_t format,
                                  int k, int c, int h, int w) {
  return emu::describe(__func__, x, format, type, k, c, h, w);
}
Status cudnnCreateConvolutionDescriptor(Move* x) { return emu::create(x); }
Status cudnnDestroyConvolutionDescriptor(Move x) { return emu::destroy(x); }
Status cudnnSetConvolution2dDescriptor(Move x, int padding_h, int padding_w, int stride_h,
                                       int stride_w, int dilation_h, int dilation_w,
                                       cudnnConvolutionMode_t mode, cudnnDataType_t compute) {
  return emu::guarded(__func__, CUDNN_STATUS_BAD_PARAM, [&] {
    emu::need(padding_h >= 0 && padding_h == padding_w && stride_h > 0 && stride_h == stride_w &&
                  dilation_h == 1 && dilation_w == 1 && mode == CUDNN_CROSS_CORRELATION &&
                  compute == CUDNN_DATA_FLOAT,
              "a convolution other than ours");
    *x = {padding_h, stride_h, CUDNN_DEFAULT_MATH};
    return CUDNN_STATUS_SUCCESS;
  });
}
Status cudnnSetConvolutionMathType(Move x, cudnnMathType_t math) {
  x->math = math;
  return CUDNN_STATUS_SUCCESS;
}

Status cudnnGetConvolutionForwardWorkspaceSize(cudnnHandle_t, Pictures x, Weights w, Move move,
                                               Pictures y, cudnnConvolutionFwdAlgo_t algorithm,
                                               size_t* bytes) {
  return emu::ask(__func__, {*x, *w, *y, *move}, algorithm, bytes);
}
Status cudnnGetConvolutionBackwardDataWorkspaceSize(cudnnHandle_t, Weights w, Pictures dy,
                                                    Move move, Pictures dx,
                                                    cudnnConvolutionBwdDataAlgo_t algorithm,
                                                    size_t* bytes) {
  return emu::ask(__func__, {*dx, *w, *dy, *move}, algorithm, bytes);
}
Status cudnnGetConvolutionBackwardFilterWorkspaceSize(cudnnHandle_t, Pictures x, Pictures dy,
                                                      Move move, Weights dw,
                                                      cudnnConvolutionBwdFilterAlgo_t algorithm,
                                                      size_t* bytes) {
  return emu::ask(__func__, {*x, *dw, *dy, *move}, algorithm, bytes);
}

Status cudnnConvolutionForward(cudnnHandle_t handle, const void* alpha, Pictures of_x,
                               const void* x, Weights of_w, const void* w, Move move,
                               cudnnConvolutionFwdAlgo_t algorithm, void* workspace, size_t bytes,
                               const void* beta, Pictures of_y, void* y) {
  return emu::queue(__func__, handle, {*of_x, *of_w, *of_y, *move}, algorithm, emu::the_y, x, w, y,
                    workspace, bytes, alpha, beta);
}
Status cudnnConvolutionBackwardData(cudnnHandle_t handle, const void* alpha, Weights of_w,
                                    const void* w, Pictures of_dy, const void* dy, Move move,
                                    cudnnConvolutionBwdDataAlgo_t algorithm, void* workspace,
                                    size_t bytes, const void* beta, Pictures of_dx, void* dx) {
  return emu::queue(__func__, handle, {*of_dx, *of_w, *of_dy, *move}, algorithm, emu::the_x, dx, w,
                    dy, workspace, bytes, alpha, beta);
}
Status cudnnConvolutionBackwardFilter(cudnnHandle_t handle, const void* alpha, Pictures of_x,
                                      const void* x, Pictures of_dy, const void* dy, Move move,
                                      cudnnConvolutionBwdFilterAlgo_t algorithm, void* workspace,
                                      size_t bytes, const void* beta, Weights of_dw, void* dw) {
  return emu::queue(__func__, handle, {*of_x, *of_dw, *of_dy, *move}, algorithm, emu::the_w, x, dw,
                    dy, workspace, bytes, alpha, beta);
}

}  // extern "C"
