// cuda/emulator/cublaslt.cpp — a double of cuBLASLt: plain loops behind its calls, and checks of
// what the real library takes on trust. Of its algorithms, limits and speed it knows nothing.
//
//   d = alpha a b + beta c + bias, for matrices stored by columns; or, without a bias, the sums of
//   the columns of b
//
// What is allowed but unwise shows in the results: TF32 where it is asked for, and sums in two
// parts of the result's type where the preference does not exclude that.
#include <cublasLt.h>

#include <array>
#include <cstring>
#include <numeric>

#include "cuda/emulator/library.h"

namespace emu {
namespace {

// The opaque objects are arrays of attributes, in the order of their numbers.

/// cublasLtMatrixLayoutOpaque_t
struct Matrices {
  uint64_t type, order;
  int64_t rows, columns, pitch, count, step, unused;

  void check() const {
    need(order == 0 && rows > 0 && columns > 0 && count > 0 && step >= 0, "an impossible layout");
    need(pitch >= rows, "a leading dimension that is less than the rows");
  }
  int64_t size() const { return (count - 1) * step + (columns - 1) * pitch + rows; }
};

/// cublasLtMatmulDescOpaque_t
struct Task {
  uint64_t compute, scale, pointer_mode, turn_a, turn_b, turn_c, fill_mode, epilogue, bias,
      rest[23];
};

/// cublasLtMatmulAlgo_t: what was promised of a, b, c, d and the bias when it was looked for.
struct Algorithm {
  uint64_t alignment[5], reduction, workspace, kind;
};

DType dtype_of(uint64_t type) {
  need(type <= CUDA_R_16F || type == CUDA_R_16BF, "a type that this double does not know");
  constexpr DType kTypes[] = {DType::f32, DType::f64, DType::f16};
  return type == CUDA_R_16BF ? DType::bf16 : kTypes[type];
}

cublasStatus_t set(uint64_t* attribute, const void* value, size_t bytes, bool wide) {
  return guarded("cuBLASLt", CUBLAS_STATUS_INVALID_VALUE, [&] {
    need(bytes == (wide ? 8 : 4), "an attribute is of another size");
    *attribute = 0;
    std::memcpy(attribute, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
  });
}

/// A product, as far as descriptors tell.
struct Problem {
  Matrices a, b, c, d;
  Task task;

  Problem(cublasLtMatmulDesc_t t, cublasLtMatrixLayout_t a_, cublasLtMatrixLayout_t b_,
          cublasLtMatrixLayout_t c_, cublasLtMatrixLayout_t d_)
      : a(std::bit_cast<Matrices>(*a_)),
        b(std::bit_cast<Matrices>(*b_)),
        c(std::bit_cast<Matrices>(*c_)),
        d(std::bit_cast<Matrices>(*d_)),
        task(std::bit_cast<Task>(*t)) {
    if (task.epilogue == CUBLASLT_EPILOGUE_DEFAULT) task.bias = 0;
    check();
  }

  DType type() const { return dtype_of(d.type); }
  DType factors() const { return dtype_of(a.type); }
  bool sums_columns() const { return task.epilogue == CUBLASLT_EPILOGUE_BGRADB; }
  int64_t depth() const { return task.turn_a ? a.rows : a.columns; }
  const void* bias() const { return reinterpret_cast<void*>(task.bias); }
  int64_t biases() const { return sums_columns() ? d.columns : d.rows; }

  /// A number for each kind of product: FNV-1a of all but the bias's address.
  uint64_t kind() const {
    Problem p = *this;
    p.task.bias = p.task.bias != 0;
    uint64_t hash = 14695981039346656037u;
    for (uint64_t word : std::bit_cast<std::array<uint64_t, sizeof(Problem) / 8>>(p))
      hash = (hash ^ word) * 1099511628211u;
    return hash;
  }

 private:
  void check() const {
    for (const Matrices* m : {&a, &b, &c, &d}) {
      m->check();
      need(m->count == d.count, "batches differ");
    }
    need(a.type == b.type && c.type == d.type, "matrices of several types");
    need(a.type == d.type || (diptych::size_of(factors()) == 2 && type() == DType::f32),
         "results of a type that does not go with the factors'");
    need(!sums_columns() || d.count == 1, "sums of the columns of a batch");
    need((task.turn_a ? a.columns : a.rows) == d.rows, "A does not have the rows of D");
    need((task.turn_b ? b.rows : b.columns) == d.columns, "B does not have the columns of D");
    need((task.turn_b ? b.columns : b.rows) == depth(), "A and B do not fit each other");
    need(c.rows == d.rows && c.columns == d.columns, "C and D do not fit each other");
    need(d.count == 1 || d.step >= (d.columns - 1) * d.pitch + d.rows, "results overlap");
    const bool wide = type() == DType::f64;
    need(wide == (task.compute == CUBLAS_COMPUTE_64F) && wide == (task.scale == CUDA_R_64F),
         "types of matrices and of sums that do not go together");
  }
};

/// A call: a problem, where it is, and what alpha and beta are at that time.
struct Job {
  Problem p;
  Numbers a, b, c, d, bias;
  double alpha, beta;
  bool in_parts;  // each of the result's type

  void check(const Algorithm& algorithm) const {
    need(algorithm.kind == p.kind(), "an algorithm for another kind of product");
    a.need_all(p.a.size(), "A is not all in a block of device memory");
    b.need_all(p.b.size(), "B is not all in a block of device memory");
    if (beta != 0) c.need_all(p.c.size(), "C is not all in a block of device memory");
    d.need_all(p.d.size(), "D is not all in a block of device memory");
    if (bias.data) bias.need_all(p.biases(), "the bias is not all in a block of device memory");
    const void* arrays[] = {a.data, b.data, c.data, d.data, bias.data};
    for (int i = 0; i < 5; ++i)
      need(alignment_of(arrays[i]) >= algorithm.alignment[i], "less aligned than promised");
  }

  void run() const {
    for (int64_t i = 0; i < p.d.count; ++i) {
      const std::vector<double> left = load(a, p.a, p.task.turn_a, i);
      const std::vector<double> right = load(b, p.b, p.task.turn_b, i);
      for (int64_t j = 0; j < p.d.columns; ++j) {
        const double* column = &right[static_cast<size_t>(j * p.depth())];
        if (p.sums_columns()) bias.put(j, std::accumulate(column, column + p.depth(), 0.0));
        finish(multiply(left, column), i * p.c.step + j * p.c.pitch, i * p.d.step + j * p.d.pitch);
      }
    }
  }

 private:
  /// Matrix i as the product takes it, by columns.
  static std::vector<double> load(const Numbers& x, const Matrices& m, bool turn, int64_t i) {
    const int64_t rows = turn ? m.columns : m.rows, columns = turn ? m.rows : m.columns;
    std::vector<double> numbers;
    for (int64_t j = 0; j < columns; ++j)
      for (int64_t r = 0; r < rows; ++r)
        numbers.push_back(x.get(i * m.step + (turn ? r * m.pitch + j : j * m.pitch + r)));
    return numbers;
  }

  double rounded(double x) const {
    uint64_t room = 0;
    const Numbers one{&room, p.type()};
    one.put(0, x);
    return one.get(0);
  }

  std::vector<double> multiply(const std::vector<double>& left, const double* column) const {
    std::vector<double> sums(static_cast<size_t>(p.d.rows));
    for (int64_t k = 0; k < p.depth(); ++k) {
      const double* from = &left[static_cast<size_t>(k * p.d.rows)];
      for (size_t r = 0; r < sums.size(); ++r) sums[r] += from[r] * column[k];
      if (in_parts && k == p.depth() / 2)
        for (double& sum : sums) sum = rounded(sum);
    }
    return sums;
  }

  void finish(const std::vector<double>& sums, int64_t from, int64_t to) const {
    for (int64_t r = 0; r < p.d.rows; ++r) {
      double y = alpha * sums[static_cast<size_t>(r)];
      if (beta != 0) y += beta * c.get(from + r);
      if (bias.data && !p.sums_columns()) y += bias.get(r);
      d.put(to + r, y);
    }
  }
};

}  // namespace
}  // namespace emu

extern "C" {

const char* cublasLtGetStatusString(cublasStatus_t) { return "see the emulator's report"; }

cublasStatus_t cublasLtCreate(cublasLtHandle_t*) { return CUBLAS_STATUS_SUCCESS; }

cublasStatus_t cublasLtMatrixLayoutInit(cublasLtMatrixLayout_t layout, cudaDataType type,
                                        uint64_t rows, uint64_t columns, int64_t pitch) {
  *layout = {{type, 0, rows, columns, static_cast<uint64_t>(pitch), 1}};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescInit(cublasLtMatmulDesc_t task, cublasComputeType_t compute,
                                      cudaDataType scale) {
  *task = {{compute, scale, 0, 0, 0, 0, 0, CUBLASLT_EPILOGUE_DEFAULT}};
  return CUBLAS_STATUS_SUCCESS;
}
// Here attribute i is word i - 1: the last one would have no room otherwise.
cublasStatus_t cublasLtMatmulPreferenceInit(cublasLtMatmulPreference_t preference) {
  *preference = {{0, 0, CUBLASLT_REDUCTION_SCHEME_MASK, 0, 256, 256, 256, 256}};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attribute,
                                                const void* value, size_t bytes) {
  const bool wide = attribute != CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT;
  return emu::set(&layout->data[attribute], value, bytes, wide);
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t task,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void* value, size_t bytes) {
  const bool wide = attribute == CUBLASLT_MATMUL_DESC_BIAS_POINTER;
  return emu::set(&task->data[attribute], value, bytes, wide);
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void* value, size_t bytes) {
  const bool wide = attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
  return emu::set(&preference->data[attribute - 1], value, bytes, wide);
}

// It can neither add a bias nor sum columns in f64, so that its caller's other way is taken as
// well.
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t task,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int,
                                              cublasLtMatmulHeuristicResult_t* result, int* found) {
  return emu::guarded(__func__, CUBLAS_STATUS_INVALID_VALUE, [&] {
    const emu::Problem p(task, a, b, c, d);
    *found = !(p.bias() && p.type() == emu::DType::f64);
    const uint64_t* wish = preference->data;
    const size_t workspace = wish[0] >= emu::kWorkspace ? emu::kWorkspace : 0;
    const emu::Algorithm algorithm{
        {wish[4], wish[5], wish[6], wish[7], emu::alignment_of(p.bias())},
        wish[2],
        workspace,
        p.kind()};
    *result = {
        std::bit_cast<cublasLtMatmulAlgo_t>(algorithm), workspace, CUBLAS_STATUS_SUCCESS, 1, {}};
    return *found ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
  });
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t task, const void* alpha,
                              const void* a, cublasLtMatrixLayout_t of_a, const void* b,
                              cublasLtMatrixLayout_t of_b, const void* beta, const void* c,
                              cublasLtMatrixLayout_t of_c, void* d, cublasLtMatrixLayout_t of_d,
                              const cublasLtMatmulAlgo_t* algo, void* workspace, size_t bytes,
                              cudaStream_t stream) {
  return emu::guarded(__func__, CUBLAS_STATUS_INVALID_VALUE, [&] {
    const emu::Problem p(task, of_a, of_b, of_c, of_d);
    const auto algorithm = std::bit_cast<emu::Algorithm>(*algo);
    const bool tf32 = p.task.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
    const auto scalar = p.task.scale == CUDA_R_64F ? emu::DType::f64 : emu::DType::f32;
    constexpr uint64_t kInParts =
        CUBLASLT_REDUCTION_SCHEME_INPLACE | CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE;
    const emu::Job job{p,
                       {a, p.factors(), tf32},
                       {b, p.factors(), tf32},
                       {c, p.type()},
                       {d, p.type()},
                       {p.bias(), p.type()},
                       emu::Numbers{alpha, scalar}.get(0),
                       emu::Numbers{beta, scalar}.get(0),
                       (algorithm.reduction & kInParts) != 0};
    job.check(algorithm);
    const bool room = bytes >= algorithm.workspace && emu::extent(workspace) >= algorithm.workspace;
    emu::need(room && emu::alignment_of(workspace) >= 16, "a small or misaligned workspace");
    const cudaError_t queued = emu::enqueue(stream, "cublasLtMatmul", [=] {
      if (bytes > 0) emu::use_workspace(workspace);
      job.run();
    });
    return queued == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
  });
}

}  // extern "C"
