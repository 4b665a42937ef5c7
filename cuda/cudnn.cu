// cuda/cudnn.cu — convolutions by cuDNN's older calls, one per convolution and gradient.
//
// Its layouts NHWC for pictures and KRSC for weights are ours, so nothing is rearranged. Three
// things would go wrong if left to it: its default arithmetic for f32 is TF32; of its algorithms
// for the gradients, some add up in the order in which threads arrive; and some of its kernels take
// every address for a multiple of 16.
#include <cudnn.h>

#include <memory>

#include "cuda/cudnn.h"
#include "cuda/launch.cuh"

namespace diptych::cuda {
namespace {

void require(cudnnStatus_t status) {
  check(status == CUDNN_STATUS_SUCCESS, "conv2d: cuDNN: ", cudnnGetErrorString(status));
}

cudnnHandle_t make_handle() {
  const cudaStream_t all_work = stream();  // or an Error that says why there is no device
  cudnnHandle_t handle = nullptr;
  require(cudnnCreate(&handle));
  require(cudnnSetStream(handle, all_work));
  return handle;
}

/// Made at the first convolution, never destroyed.
cudnnHandle_t handle() {
  static const cudnnHandle_t made = make_handle();
  return made;
}

struct Destroy {
  void operator()(cudnnTensorDescriptor_t x) const { cudnnDestroyTensorDescriptor(x); }
  void operator()(cudnnFilterDescriptor_t x) const { cudnnDestroyFilterDescriptor(x); }
  void operator()(cudnnConvolutionDescriptor_t x) const { cudnnDestroyConvolutionDescriptor(x); }
};
using Pictures = std::unique_ptr<cudnnTensorStruct, Destroy>;
using Weights = std::unique_ptr<cudnnFilterStruct, Destroy>;
using Movement = std::unique_ptr<cudnnConvolutionStruct, Destroy>;

cudnnDataType_t type_of(DType dtype) {
  return dtype == DType::f32   ? CUDNN_DATA_FLOAT
         : dtype == DType::f16 ? CUDNN_DATA_HALF
                               : CUDNN_DATA_BFLOAT16;
}

/// Extents as cuDNN wants them; suits() has seen that they fit.
struct Extents {
  explicit Extents(const Tensor& x)
      : n(static_cast<int>(x.dim(0))),
        h(static_cast<int>(x.dim(1))),
        w(static_cast<int>(x.dim(2))),
        c(static_cast<int>(x.dim(3))) {}
  int n, h, w, c;
};

Pictures pictures_of(const Tensor& x) {
  cudnnTensorDescriptor_t made = nullptr;
  require(cudnnCreateTensorDescriptor(&made));
  Pictures pictures(made);
  const Extents e(x);
  require(
      cudnnSetTensor4dDescriptor(made, CUDNN_TENSOR_NHWC, type_of(x.dtype()), e.n, e.c, e.h, e.w));
  return pictures;
}

Weights weights_of(const Tensor& w) {
  cudnnFilterDescriptor_t made = nullptr;
  require(cudnnCreateFilterDescriptor(&made));
  Weights weights(made);
  const Extents e(w);
  require(
      cudnnSetFilter4dDescriptor(made, type_of(w.dtype()), CUDNN_TENSOR_NHWC, e.n, e.c, e.h, e.w));
  return weights;
}

Movement movement_of(const Window& window, DType dtype) {
  cudnnConvolutionDescriptor_t made = nullptr;
  require(cudnnCreateConvolutionDescriptor(&made));
  Movement movement(made);
  const int padding = static_cast<int>(window.padding), stride = static_cast<int>(window.stride);
  require(cudnnSetConvolution2dDescriptor(made, padding, padding, stride, stride, 1, 1,
                                          CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT));
  require(cudnnSetConvolutionMathType(made,
                                      dtype == DType::f32 ? CUDNN_FMA_MATH : CUDNN_TENSOR_OP_MATH));
  return movement;
}

/// y = x convolved with w: what is known of the three, whichever of them is wanted.
struct Convolution {
  Convolution(const Tensor& x_, const Tensor& w_, const Tensor& y_, const Window& window)
      : x(pictures_of(x_)),
        w(weights_of(w_)),
        y(pictures_of(y_)),
        movement(movement_of(window, x_.dtype())) {}

  Pictures x;
  Weights w;
  Pictures y;
  Movement movement;
};

bool suits(const Tensor& x) {
  const bool fits = x.numel() > 0 && x.numel() <= INT32_MAX;
  return fits && x.dtype() != DType::f64 && is_packed(static_cast<char*>(x.raw()));
}

bool supported(cudnnStatus_t status) {
  if (CUDNN_STATUS_CATEGORY(status) == CUDNN_STATUS_NOT_SUPPORTED) return false;
  require(status);
  return true;
}

/// query(bytes) asks how much workspace it takes, run(workspace, bytes) does it.
template <class Query, class Run>
bool run_if_supported(const Query& query, const Run& run) {
  size_t bytes = 0;
  if (!supported(query(&bytes))) return false;
  const Tensor workspace = empty({static_cast<int64_t>(bytes)}, DType::u8, Device::cuda);
  return supported(run(workspace.raw(), bytes));
}

constexpr float kOne = 1, kNothing = 0;  // result = one × what is computed + nothing × itself

}  // namespace

bool cudnn_forward(const Tensor& x, const Tensor& w, const Window& window, Tensor& y) {
  if (!suits(x) || !suits(w) || !suits(y)) return false;
  const Convolution c(x, w, y, window);
  constexpr auto algorithm = CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;
  return run_if_supported(
      [&](size_t* bytes) {
        return cudnnGetConvolutionForwardWorkspaceSize(
            handle(), c.x.get(), c.w.get(), c.movement.get(), c.y.get(), algorithm, bytes);
      },
      [&](void* workspace, size_t bytes) {
        return cudnnConvolutionForward(handle(), &kOne, c.x.get(), x.raw(), c.w.get(), w.raw(),
                                       c.movement.get(), algorithm, workspace, bytes, &kNothing,
                                       c.y.get(), y.raw());
      });
}

bool cudnn_grad_input(const Tensor& g, const Tensor& w, const Window& window, Tensor& dx) {
  if (!suits(g) || !suits(w) || !suits(dx)) return false;
  const Convolution c(dx, w, g, window);
  constexpr auto algorithm = CUDNN_CONVOLUTION_BWD_DATA_ALGO_1;
  return run_if_supported(
      [&](size_t* bytes) {
        return cudnnGetConvolutionBackwardDataWorkspaceSize(
            handle(), c.w.get(), c.y.get(), c.movement.get(), c.x.get(), algorithm, bytes);
      },
      [&](void* workspace, size_t bytes) {
        return cudnnConvolutionBackwardData(handle(), &kOne, c.w.get(), w.raw(), c.y.get(), g.raw(),
                                            c.movement.get(), algorithm, workspace, bytes,
                                            &kNothing, c.x.get(), dx.raw());
      });
}

bool cudnn_grad_weight(const Tensor& x, const Tensor& g, const Window& window, Tensor& dw) {
  if (!suits(x) || !suits(g) || !suits(dw)) return false;
  const Convolution c(x, dw, g, window);
  constexpr auto algorithm = CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1;
  return run_if_supported(
      [&](size_t* bytes) {
        return cudnnGetConvolutionBackwardFilterWorkspaceSize(
            handle(), c.x.get(), c.y.get(), c.movement.get(), c.w.get(), algorithm, bytes);
      },
      [&](void* workspace, size_t bytes) {
        return cudnnConvolutionBackwardFilter(handle(), &kOne, c.x.get(), x.raw(), c.y.get(),
                                              g.raw(), c.movement.get(), algorithm, workspace,
                                              bytes, &kNothing, c.w.get(), dw.raw());
      });
}

}  // namespace diptych::cuda
