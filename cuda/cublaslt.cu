// cuda/cublaslt.cu — products of matrices by cuBLASLt.
//
// The library is asked once for each kind of product which of its algorithms suits best, and a plan
// keeps the answer. Two things would be dangerous if left at their defaults: it takes every pointer
// for a multiple of 256 bytes, which a slice is not, and it may add up parts of a sum in the type
// of the result, 16 bits perhaps.
#include <cublasLt.h>

#include <compare>
#include <map>
#include <mutex>
#include <utility>

#include "cuda/cublaslt.h"
#include "cuda/launch.cuh"
#include "tensor/factory.h"

namespace diptych::cuda {
namespace {

void require(cublasStatus_t status) {
  check(status == CUBLAS_STATUS_SUCCESS, "matmul: cuBLASLt: ", cublasLtGetStatusString(status));
}

cublasLtHandle_t make_handle() {
  stream();  // or an Error that says why there is no device
  cublasLtHandle_t handle = nullptr;
  require(cublasLtCreate(&handle));
  return handle;
}

/// Made at the first product, never destroyed.
cublasLtHandle_t handle() {
  static const cublasLtHandle_t made = make_handle();
  return made;
}

using Task = cublasLtMatmulDescOpaque_t;
using Layout = cublasLtMatrixLayoutOpaque_t;
using Preference = cublasLtMatmulPreferenceOpaque_t;

template <class T>
void set(Task& task, cublasLtMatmulDescAttributes_t attribute, T value) {
  require(cublasLtMatmulDescSetAttribute(&task, attribute, &value, sizeof value));
}
template <class T>
void set(Layout& layout, cublasLtMatrixLayoutAttribute_t attribute, T value) {
  require(cublasLtMatrixLayoutSetAttribute(&layout, attribute, &value, sizeof value));
}
template <class T>
void set(Preference& preference, cublasLtMatmulPreferenceAttributes_t attribute, T value) {
  require(cublasLtMatmulPreferenceSetAttribute(&preference, attribute, &value, sizeof value));
}

cudaDataType type_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return CUDA_R_32F;
    case DType::f64:
      return CUDA_R_64F;
    case DType::f16:
      return CUDA_R_16F;
    case DType::bf16:
      return CUDA_R_16BF;
    default:
      fail("matmul: needs a floating-point tensor, got ", dtype);
  }
}

/// The largest power of two up to 256, the most that cuBLASLt asks for, that divides the address.
uint32_t alignment_of(const void* data) {
  uint32_t alignment = 256;
  while (reinterpret_cast<uintptr_t>(data) % alignment != 0) alignment /= 2;
  return alignment;
}

/// All that the choice of an algorithm depends on.
struct Kind {
  struct Factor {
    explicit Factor(const LtFactor& x)
        : pitch(x.pitch), step(x.step), transposed(x.transposed), alignment(alignment_of(x.data)) {}
    int64_t pitch, step;
    bool transposed;
    uint32_t alignment;
    auto operator<=>(const Factor&) const = default;
  };

  explicit Kind(const LtProduct& p)
      : factors(p.factors),
        dtype(p.dtype),
        rows(p.rows),
        columns(p.columns),
        depth(p.depth),
        count(p.count),
        left(p.left),
        right(p.right),
        bias(alignment_if(p.bias)),
        column_sums(alignment_if(p.column_sums)),
        add(alignment_of(p.add ? p.add : p.d)),
        d(alignment_of(p.d)) {}

  DType factors, dtype;
  int64_t rows, columns, depth, count;
  Factor left, right;
  uint32_t bias, column_sums, add, d;  // alignments; 0 for none
  auto operator<=>(const Kind&) const = default;

 private:
  static uint32_t alignment_if(const void* data) { return data ? alignment_of(data) : 0; }
};

cublasLtEpilogue_t epilogue_of(const Kind& kind) {
  if (kind.bias != 0) return CUBLASLT_EPILOGUE_BIAS;
  return kind.column_sums != 0 ? CUBLASLT_EPILOGUE_BGRADB : CUBLASLT_EPILOGUE_DEFAULT;
}

Task make_task(const Kind& kind) {
  const bool wide = kind.dtype == DType::f64;
  Task task;
  require(cublasLtMatmulDescInit(&task, wide ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F,
                                 wide ? CUDA_R_64F : CUDA_R_32F));
  set(task, CUBLASLT_MATMUL_DESC_TRANSA, kind.left.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(task, CUBLASLT_MATMUL_DESC_TRANSB, kind.right.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(task, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue_of(kind));
  return task;
}

Layout make_layout(const Kind& kind, DType dtype, int64_t rows, int64_t columns, int64_t pitch,
                   int64_t step) {
  check(kind.count <= INT32_MAX, "matmul: a batch of ", kind.count, " matrices is too large");
  Layout layout;
  require(cublasLtMatrixLayoutInit(&layout, type_of(dtype), static_cast<uint64_t>(rows),
                                   static_cast<uint64_t>(columns), pitch));
  set(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, static_cast<int32_t>(kind.count));
  set(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, step);
  return layout;
}

/// rows, columns: as the product takes it.
Layout make_layout(const Kind& kind, const Kind::Factor& x, int64_t rows, int64_t columns) {
  if (x.transposed) std::swap(rows, columns);
  return make_layout(kind, kind.factors, rows, columns, x.pitch, x.step);
}

Preference make_preference(const Kind& kind) {
  constexpr uint64_t kMostWorkspace = uint64_t{32} << 20;  // NVIDIA's advice for Hopper
  Preference preference;
  require(cublasLtMatmulPreferenceInit(&preference));
  set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kMostWorkspace);
  set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
      uint32_t{CUBLASLT_REDUCTION_SCHEME_NONE | CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, kind.left.alignment);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, kind.right.alignment);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, kind.add);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, kind.d);
  return preference;
}

/// A kind of product, ready to run.
class Plan {
 public:
  /// p: one of that kind, for the library looks at the addresses of bias and sums.
  Plan(const Kind& kind, const LtProduct& p)
      : task_(make_task(kind)),
        left_(make_layout(kind, kind.left, kind.rows, kind.depth)),
        right_(make_layout(kind, kind.right, kind.depth, kind.columns)),
        d_(make_layout(kind, kind.dtype, kind.rows, kind.columns, kind.rows,
                       kind.rows * kind.columns)) {
    point_at(p);
    Preference preference = make_preference(kind);
    int found = 0;
    const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
        handle(), &task_, &left_, &right_, &d_, &d_, &preference, 1, &choice_, &found);
    if (status != CUBLAS_STATUS_NOT_SUPPORTED) require(status);
    possible_ = status == CUBLAS_STATUS_SUCCESS && found == 1;
  }

  bool possible() const { return possible_; }

  void run(const LtProduct& p) {
    point_at(p);
    const Tensor workspace =
        empty({static_cast<int64_t>(choice_.workspaceSize)}, DType::u8, Device::cuda);
    const double wide[] = {1, p.add ? 1.0 : 0.0};
    const float narrow[] = {1, p.add ? 1.0f : 0.0f};
    const bool is_wide = p.dtype == DType::f64;
    const void* alpha = is_wide ? static_cast<const void*>(&wide[0]) : &narrow[0];
    const void* beta = is_wide ? static_cast<const void*>(&wide[1]) : &narrow[1];
    require(cublasLtMatmul(handle(), &task_, alpha, p.left.data, &left_, p.right.data, &right_,
                           beta, p.add ? p.add : p.d, &d_, p.d, &d_, &choice_.algo, workspace.raw(),
                           choice_.workspaceSize, stream()));
  }

 private:
  /// One attribute for what is read and what is written.
  void point_at(const LtProduct& p) {
    if (p.bias) set(task_, CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias);
    if (p.column_sums) set(task_, CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.column_sums);
  }

  Task task_;
  Layout left_, right_, d_;
  cublasLtMatmulHeuristicResult_t choice_{};
  bool possible_;
};

}  // namespace

bool multiply(const LtProduct& p) {
  constexpr size_t kMostPlans = 4096;  // captions of ragged lengths make ever new kinds
  static std::mutex mutex;
  static auto* plans = new std::map<Kind, Plan>;
  const std::lock_guard lock(mutex);
  if (plans->size() >= kMostPlans) plans->clear();
  const Kind kind(p);
  Plan& plan = plans->try_emplace(kind, kind, p).first->second;
  if (plan.possible()) plan.run(p);
  return plan.possible();
}

}  // namespace diptych::cuda
