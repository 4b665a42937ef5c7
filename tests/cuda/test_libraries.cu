// tests/cuda/test_libraries.cu — what the backend asks of cuBLASLt and cuDNN, where test_matmul.cpp
// and test_conv.cpp do not look; and that the doubles of the two notice what they are there for.
#include <cublasLt.h>
#include <cudnn.h>

#include "tests/cuda/emulated.h"
#include "tests/kernel_reference.h"

namespace diptych::test {
namespace {

// -- what we ask --

/// A tensor whose memory begins `shift` elements behind that of an allocation.
Tensor shifted(const Shape& shape, DType t, int64_t shift) {
  const Tensor all = normal({shape.numel() + shift}, t, 1);
  return all.slice(0, shift, shift + shape.numel()).view(shape);
}

/// c = a b + bias + add is the CPU's product of the same numbers, plus these.
void check_sum(const Tensor& a, const Tensor& b, const Shape& shape) {
  const DType t = a.dtype();
  const Tensor bias = normal({shape.back()}, t, 2);
  Tensor c = normal(shape, t, 3), plain = diptych::empty(shape, t);
  kernel::matmul(Device::cpu, a.to(Device::cpu), b.to(Device::cpu), {}, plain);
  Values want = values(plain);
  const Values bias_values = values(bias), add = values(c);
  for (size_t i = 0; i < want.size(); ++i) want[i] += add[i] + bias_values[i % bias_values.size()];
  kernel::matmul(here, a, b, {bias, c}, c);
  check_close(c, want, 2);  // one more rounding of the product
}

KERNEL_TEST("products: a kind of product is also its alignments, for which there are plans") {
  for (DType t : kFloats)
    for (int64_t shift : {0, 1, 2, 4, 8, 1})
      check_sum(shifted({5, 8}, t, shift), shifted({8, 3}, t, shift / 2), {5, 3});
}

KERNEL_TEST("products: batches of several axes, whose calls each add to their own part") {
  for (DType t : kFloats) {
    const Tensor a = normal({3, 2, 4, 6}, t, 1);
    const Tensor b = normal({2, 6, 5}, t, 2).expand({3, 2, 6, 5});
    check_sum(a, b, {3, 2, 4, 5});
    check_sum(a.transpose(0, 1), b.transpose(0, 1), {2, 3, 4, 5});
    check_sum(a.slice(2, 1, 2), b, {3, 2, 1, 5});
    check_sum(normal({2, 1, 2, 4, 6}, t, 1).expand({2, 3, 2, 4, 6}),
              normal({1, 3, 1, 6, 5}, t, 2).expand({2, 3, 2, 6, 5}), {2, 3, 2, 4, 5});
    check_sum(a.slice(3, 2, 3).expand({3, 2, 4, 6}), b, {3, 2, 4, 5});
  }
}

KERNEL_TEST("products and convolutions: f32 is not TF32, and no sum is kept in 16 bits") {
  const float fine = 1 + 0x1p-20f;  // 1 in TF32
  const Tensor a = full({1, 2}, fine);
  Tensor c = empty({1, 1});
  kernel::matmul(here, a, a.transpose(0, 1), {}, c);
  CHECK(c.item() == doctest::Approx(2.0 * fine * fine).epsilon(1e-7));
  const Tensor x = full({1, 2, 2, 1}, fine);
  Tensor y = empty({1, 1, 1, 1});
  kernel::conv2d(here, x, x, {1, 0}, y);
  CHECK(y.item() == doctest::Approx(4.0 * fine * fine).epsilon(1e-7));
  const Tensor terms = from_vector<float>({256, 0, 1, 1}, {1, 4}).to(DType::bf16).to(here);
  const Tensor ones = full({4, 1}, 1, DType::bf16);
  Tensor sum = empty({1, 1}, DType::bf16);
  kernel::matmul(here, terms, ones, {}, sum);
  CHECK(sum.item() == 258);  // 256 if 257, which bf16 lacks, had been kept in between
}

// -- what the doubles notice --

/// A product (3, 4) (4, 2) of f32, stored by columns, with whatever is wrong with it.
struct Call {
  cublasComputeType_t compute = CUBLAS_COMPUTE_32F;
  cudaDataType type = CUDA_R_32F, type_b = CUDA_R_32F;
  int64_t pitch = 3, rows_b = 4;
  uint32_t promised = 256;
  int64_t other_pitch = 0, shift = 0;  // a layout at the call other than asked for; of A's address
  size_t elements_a = 12, workspace_bytes = 256;
  std::vector<float> c = {};

  /// The report, or nothing and c.
  std::string report() {
    emu::reset();
    Layout a{type, 3, 4, pitch}, b{type_b, rows_b, 2, rows_b}, d{type, 3, 2, 3};
    cublasLtMatmulDescOpaque_t task;
    cublasLtMatmulDescInit(&task, compute, CUDA_R_32F);
    cublasLtMatmulPreferenceOpaque_t preference;
    cublasLtMatmulPreferenceInit(&preference);
    const uint64_t most = 1024;
    cublasLtMatmulPreferenceSetAttribute(&preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                         &most, sizeof most);
    cublasLtMatmulPreferenceSetAttribute(&preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
                                         &promised, sizeof promised);
    cublasLtMatmulHeuristicResult_t choice{};
    int found = 0;
    cublasLtMatmulAlgoGetHeuristic(nullptr, &task, &a.it, &b.it, &d.it, &d.it, &preference, 1,
                                   &choice, &found);
    if (found == 0) return emu::report();
    if (other_pitch != 0) a = Layout{type, 3, 4, other_pitch};
    const Array<float> at_a(std::vector<float>(elements_a, 1 + 0x1p-20f));
    const Array<float> at_b(std::vector<float>(8, 1)), at_c(std::vector<float>(6, NAN));
    const Array<char> workspace(workspace_bytes);
    const float one = 1, nothing = 0;
    cublasLtMatmul(nullptr, &task, &one, at_a + shift, &a.it, at_b, &b.it, &nothing, at_c, &d.it,
                   at_c, &d.it, &choice.algo, workspace, workspace_bytes, cuda::stream());
    c = at_c.values();
    return emu::report();
  }

 private:
  struct Layout {
    Layout(cudaDataType t, int64_t rows, int64_t columns, int64_t pitch_) {
      cublasLtMatrixLayoutInit(&it, t, static_cast<uint64_t>(rows), static_cast<uint64_t>(columns),
                               pitch_);
    }
    cublasLtMatrixLayoutOpaque_t it;
  };
};

TEST_CASE("double of cuBLASLt: what is right goes through") {
  Call call;
  CHECK(call.report() == "");
  CHECK(call.c == std::vector<float>(6, 4 * (1 + 0x1p-20f)));
}

TEST_CASE("double of cuBLASLt: layouts, types and arrays that cannot be") {
  CHECK(has(Call{.pitch = 2}.report(), "leading dimension"));
  CHECK(has(Call{.rows_b = 5}.report(), "A and B do not fit"));
  CHECK(has(Call{.type_b = CUDA_R_16F}.report(), "several types"));
  CHECK(has(Call{.compute = CUBLAS_COMPUTE_64F}.report(), "do not go together"));
  CHECK(has(Call{.pitch = 5}.report(), "A is not all in a block"));
  CHECK(Call{.pitch = 5, .elements_a = 18}.report() == "");
  CHECK(has(Call{.workspace_bytes = 128}.report(), "workspace"));
}

TEST_CASE("double of cuBLASLt: promises that are not kept") {
  CHECK(has(Call{.shift = 1, .elements_a = 13}.report(), "less aligned than promised"));
  CHECK(Call{.promised = 4, .shift = 1, .elements_a = 13}.report() == "");
  CHECK(has(Call{.other_pitch = 4, .elements_a = 16}.report(), "another kind of product"));
}

TEST_CASE("double of cuBLASLt: what is unwise shows in the result") {
  Call tf32{.compute = CUBLAS_COMPUTE_32F_FAST_TF32};
  CHECK(tf32.report() == "");
  CHECK(tf32.c == std::vector<float>(6, 4));
}

/// A convolution of one picture (1, 2, 2, 1) with one window (1, 2, 2, 1).
struct ConvCall {
  cudnnTensorFormat_t format = CUDNN_TENSOR_NHWC;
  cudnnConvolutionFwdAlgo_t algorithm = CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;
  cudnnMathType_t math = CUDNN_FMA_MATH;
  int side = 2, shift = 0;
  std::vector<float> y = {};

  std::string report() {
    emu::reset();
    cudnnHandle_t handle = nullptr;
    cudnnTensorDescriptor_t x, of_y;
    cudnnFilterDescriptor_t w;
    cudnnConvolutionDescriptor_t move;
    cudnnCreate(&handle);
    cudnnSetStream(handle, cuda::stream());
    cudnnCreateTensorDescriptor(&x);
    cudnnCreateTensorDescriptor(&of_y);
    cudnnCreateFilterDescriptor(&w);
    cudnnCreateConvolutionDescriptor(&move);
    cudnnSetTensor4dDescriptor(x, format, CUDNN_DATA_FLOAT, 1, 1, side, side);
    cudnnSetTensor4dDescriptor(of_y, CUDNN_TENSOR_NHWC, CUDNN_DATA_FLOAT, 1, 1, 1, 1);
    cudnnSetFilter4dDescriptor(w, CUDNN_DATA_FLOAT, CUDNN_TENSOR_NHWC, 1, 1, side, side);
    cudnnSetConvolution2dDescriptor(move, 0, 0, 1, 1, 1, 1, CUDNN_CROSS_CORRELATION,
                                    CUDNN_DATA_FLOAT);
    cudnnSetConvolutionMathType(move, math);
    const Array<float> at_x(std::vector<float>(4, 1 + 0x1p-20f));
    const Array<float> at_w(std::vector<float>(4, 1)), at_y(std::vector<float>(1, NAN));
    const Array<char> workspace(256);
    const float one = 1, nothing = 0;
    if (emu::report().empty())
      cudnnConvolutionForward(handle, &one, x, at_x + shift, w, at_w, move, algorithm, workspace,
                              256, &nothing, of_y, at_y);
    y = at_y.values();
    cudnnDestroyTensorDescriptor(x);
    cudnnDestroyTensorDescriptor(of_y);
    cudnnDestroyFilterDescriptor(w);
    cudnnDestroyConvolutionDescriptor(move);
    const std::string said = emu::report();
    cudnnDestroy(handle);
    return said;
  }
};

TEST_CASE("double of cuDNN: what is right goes through") {
  ConvCall call;
  CHECK(call.report() == "");
  CHECK(call.y == std::vector<float>{4 * (1 + 0x1p-20f)});
}

TEST_CASE("double of cuDNN: layouts, algorithms and arrays that cannot be; TF32") {
  CHECK(has(ConvCall{.format = CUDNN_TENSOR_NCHW}.report(), "another layout"));
  CHECK(has(ConvCall{.algorithm = CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM}.report(),
            "an algorithm"));
  CHECK(has(ConvCall{.side = 3}.report(), "x is not all in a block"));
  CHECK(has(ConvCall{.shift = -1}.report(), "x is not all in a block"));
  ConvCall tf32{.math = CUDNN_DEFAULT_MATH};
  CHECK(tf32.report() == "");
  CHECK(tf32.y == std::vector<float>{4});
}

}  // namespace
}  // namespace diptych::test
