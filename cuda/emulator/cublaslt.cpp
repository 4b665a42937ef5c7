// cuda/emulator/cublaslt.cpp — a double of cuBLASLt: plain loops behind its calls, and checks of
// what the real library takes on trust. Of its algorithms, limits and speed it knows nothing.
//
//   d = alpha a b + beta c + bias, for matrices stored by columns
//
// What is allowed but unwise shows in the results: TF32 where it is asked for, and parts of a sum
// rounded to the type of the result where the preference does not exclude that.
#include <cublasLt.h>

#include <algorithm>
#include <iterator>

#include "cuda/emulator/library.h"

namespace emu {
namespace {

using diptych::DType;
using Layout = cublasLtMatrixLayoutOpaque_t;  // the opaque objects are arrays of attributes
using Task = cublasLtMatmulDescOpaque_t;

constexpr uint64_t kWorkspace = 256;  // bytes that every algorithm wants if it may have them

/// What the eight words of an algorithm mean: the least alignments, and for what it is.
enum Promise { of_a, of_b, of_c, of_d, of_bias, reduction, workspace, kind };

cublasStatus_t set(uint64_t* attribute, const void* value, size_t bytes, size_t expected) {
  return guarded("cuBLASLt", CUBLAS_STATUS_INVALID_VALUE, [&] {
    need(bytes == expected, "an attribute is unknown or of another size");
    *attribute = 0;
    std::memcpy(attribute, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
  });
}

DType dtype_of(uint64_t type) {
  switch (type) {
    case CUDA_R_32F:
      return DType::f32;
    case CUDA_R_64F:
      return DType::f64;
    case CUDA_R_16F:
      return DType::f16;
    default:
      need(type == CUDA_R_16BF, "a type that this double does not know");
      return DType::bf16;
  }
}

struct Matrices {
  explicit Matrices(const Layout& x)
      : type(dtype_of(x.data[CUBLASLT_MATRIX_LAYOUT_TYPE])),
        rows(static_cast<int64_t>(x.data[CUBLASLT_MATRIX_LAYOUT_ROWS])),
        columns(static_cast<int64_t>(x.data[CUBLASLT_MATRIX_LAYOUT_COLS])),
        pitch(static_cast<int64_t>(x.data[CUBLASLT_MATRIX_LAYOUT_LD])),
        count(static_cast<int64_t>(x.data[CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT])),
        step(static_cast<int64_t>(x.data[CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET])) {
    need(x.data[CUBLASLT_MATRIX_LAYOUT_ORDER] == 0, "an order other than by columns");
    need(rows > 0 && columns > 0 && count > 0 && step >= 0, "an impossible layout");
    need(pitch >= rows, "a leading dimension that is less than the rows");
  }
  int64_t size() const { return (count - 1) * step + (columns - 1) * pitch + rows; }

  DType type;
  int64_t rows, columns, pitch, count, step;
};

/// A product, as far as descriptors tell.
struct Problem {
  Problem(const Task& t, const Layout& a_, const Layout& b_, const Layout& c_, const Layout& d_)
      : a(a_), b(b_), c(c_), d(d_), task(t), hash(14695981039346656037u) {
    for (const Layout* layout : {&a_, &b_, &c_, &d_})
      for (uint64_t word : layout->data) mix(word);
    for (int i = 0; i < CUBLASLT_MATMUL_DESC_BIAS_POINTER; ++i) mix(task.data[i]);
    check();
  }

  bool turn_a() const { return task.data[CUBLASLT_MATMUL_DESC_TRANSA] == CUBLAS_OP_T; }
  bool turn_b() const { return task.data[CUBLASLT_MATMUL_DESC_TRANSB] == CUBLAS_OP_T; }
  int64_t depth() const { return turn_a() ? a.rows : a.columns; }
  uint64_t compute() const { return task.data[CUBLASLT_MATMUL_DESC_COMPUTE_TYPE]; }
  const void* bias() const {
    const bool any = task.data[CUBLASLT_MATMUL_DESC_EPILOGUE] == CUBLASLT_EPILOGUE_BIAS;
    return any ? reinterpret_cast<void*>(task.data[CUBLASLT_MATMUL_DESC_BIAS_POINTER]) : nullptr;
  }

  Matrices a, b, c, d;
  Task task;
  uint64_t hash;  ///< FNV-1a of all but the bias's address

 private:
  void mix(uint64_t word) { hash = (hash ^ word) * 1099511628211u; }

  void check() const {
    need((turn_a() ? a.columns : a.rows) == d.rows, "A does not have the rows of D");
    need((turn_b() ? b.rows : b.columns) == d.columns, "B does not have the columns of D");
    need((turn_b() ? b.columns : b.rows) == depth(), "A and B do not fit each other");
    need(c.rows == d.rows && c.columns == d.columns, "C and D do not fit each other");
    need(a.count == d.count && b.count == d.count && c.count == d.count, "batches differ");
    need(d.count == 1 || d.step >= (d.columns - 1) * d.pitch + d.rows, "results overlap");
    const bool wide = compute() == CUBLAS_COMPUTE_64F;
    need(dtype_of(task.data[CUBLASLT_MATMUL_DESC_SCALE_TYPE]) == (wide ? DType::f64 : DType::f32) &&
             wide == (a.type == DType::f64),
         "the types of numbers, sums and factors do not go together");
    need(b.type == a.type && c.type == a.type && d.type == a.type, "matrices of several types");
  }
};

/// A call: a problem, where it is, and what alpha and beta are at the time of the call.
struct Job {
  Problem p;
  Numbers a, b, c, d, bias;
  double alpha, beta;
  bool rounds_parts;

  void check(const cublasLtMatmulAlgo_t& algo) const {
    need(algo.data[kind] == p.hash, "an algorithm for another kind of product");
    need(a.are_there(p.a.size()), "A is not all in a block of device memory");
    need(b.are_there(p.b.size()), "B is not all in a block of device memory");
    need(beta == 0 || c.are_there(p.c.size()), "C is not all in a block of device memory");
    need(d.are_there(p.d.size()), "D is not all in a block of device memory");
    need(!bias.data || bias.are_there(p.d.rows), "the bias is not all in a block");
    for (int i : {of_a, of_b, of_c, of_d, of_bias}) {
      const void* array = (&a)[i].data;
      need(!array || alignment_of(array) >= algo.data[i], "an array is less aligned than promised");
    }
  }

  void run() const {
    for (int64_t i = 0; i < p.d.count; ++i) {
      const std::vector<double> left = load(a, p.a, p.turn_a(), i);
      const std::vector<double> right = load(b, p.b, p.turn_b(), i);
      for (int64_t j = 0; j < p.d.columns; ++j)
        finish(product(left, &right[static_cast<size_t>(j * p.depth())]),
               i * p.c.step + j * p.c.pitch, i * p.d.step + j * p.d.pitch);
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

  /// left times a column; in two parts, each rounded, if that was not excluded.
  std::vector<double> product(const std::vector<double>& left, const double* column) const {
    std::vector<double> sums(static_cast<size_t>(p.d.rows)), part = sums;
    const int64_t half = rounds_parts ? p.depth() / 2 : -1;
    for (int64_t k = 0; k < p.depth(); ++k) {
      if (k == half) std::swap(sums, part);
      const double* from = &left[static_cast<size_t>(k * p.d.rows)];
      for (size_t r = 0; r < sums.size(); ++r) sums[r] += from[r] * column[k];
    }
    for (size_t r = 0; r < sums.size() && half > 0; ++r)
      sums[r] = d.rounded(sums[r]) + d.rounded(part[r]);
    return sums;
  }

  void finish(const std::vector<double>& sums, int64_t from, int64_t to) const {
    for (int64_t r = 0; r < p.d.rows; ++r)
      d.put(to + r, alpha * sums[static_cast<size_t>(r)] +
                        (beta != 0 ? beta * c.get(from + r) : 0) + (bias.data ? bias.get(r) : 0));
  }
};

}  // namespace
}  // namespace emu

extern "C" {

const char* cublasLtGetStatusString(cublasStatus_t) { return "see the emulator's report"; }

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  *handle = reinterpret_cast<cublasLtHandle_t>(handle);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* made, cudaDataType type,
                                          uint64_t rows, uint64_t columns, int64_t pitch) {
  *made = new emu::Layout{{type, 0, rows, columns, static_cast<uint64_t>(pitch), 1, 0}};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attribute,
                                                const void* value, size_t bytes) {
  const bool narrow = attribute == CUBLASLT_MATRIX_LAYOUT_TYPE ||
                      attribute == CUBLASLT_MATRIX_LAYOUT_ORDER ||
                      attribute == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT;
  return emu::set(&layout->data[attribute], value, bytes, narrow ? 4 : 8);
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  delete layout;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* made, cublasComputeType_t compute,
                                        cudaDataType scale) {
  *made = new emu::Task{{compute, scale, 0, 0, 0, 0, 0, CUBLASLT_EPILOGUE_DEFAULT}};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t task,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void* value, size_t bytes) {
  return emu::set(&task->data[attribute], value, bytes,
                  attribute == CUBLASLT_MATMUL_DESC_BIAS_POINTER ? 8 : 4);
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t task) {
  delete task;
  return CUBLAS_STATUS_SUCCESS;
}

// Attribute i is word i - 1: the last one would have no room otherwise.
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* made) {
  *made = new cublasLtMatmulPreferenceOpaque_t{
      {0, 0, CUBLASLT_REDUCTION_SCHEME_MASK, 0, 256, 256, 256, 256}};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void* value, size_t bytes) {
  return emu::set(&preference->data[attribute - 1], value, bytes,
                  attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES ? 8 : 4);
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  delete preference;
  return CUBLAS_STATUS_SUCCESS;
}

// A bias in f64 it has not, so that its callers' other way is taken as well.
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t task,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int,
                                              cublasLtMatmulHeuristicResult_t* result, int* found) {
  return emu::guarded("cublasLtMatmulAlgoGetHeuristic", CUBLAS_STATUS_INVALID_VALUE, [&] {
    const emu::Problem p(*task, *a, *b, *c, *d);
    *found = 0;
    if (p.bias() && p.d.type == diptych::DType::f64) return CUBLAS_STATUS_NOT_SUPPORTED;
    const uint64_t* wish = preference->data;
    const uint64_t workspace = std::min(wish[0], emu::kWorkspace);
    *result = {{{wish[4], wish[5], wish[6], wish[7], emu::alignment_of(p.bias()), wish[2],
                 workspace, p.hash}},
               workspace,
               CUBLAS_STATUS_SUCCESS,
               1,
               {}};
    *found = 1;
    return CUBLAS_STATUS_SUCCESS;
  });
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t task, const void* alpha,
                              const void* a, cublasLtMatrixLayout_t layout_a, const void* b,
                              cublasLtMatrixLayout_t layout_b, const void* beta, const void* c,
                              cublasLtMatrixLayout_t layout_c, void* d,
                              cublasLtMatrixLayout_t layout_d, const cublasLtMatmulAlgo_t* algo,
                              void* workspace, size_t workspace_bytes, cudaStream_t stream) {
  return emu::guarded("cublasLtMatmul", CUBLAS_STATUS_INVALID_VALUE, [&] {
    const emu::Problem p(*task, *layout_a, *layout_b, *layout_c, *layout_d);
    const bool tf32 = p.compute() == CUBLAS_COMPUTE_32F_FAST_TF32;
    const auto number = [&](const void* x) {
      return p.compute() == CUBLAS_COMPUTE_64F ? *static_cast<const double*>(x)
                                               : *static_cast<const float*>(x);
    };
    const uint64_t parts =
        CUBLASLT_REDUCTION_SCHEME_INPLACE | CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE;
    const emu::Job job{p,
                       {a, p.a.type, tf32},
                       {b, p.b.type, tf32},
                       {c, p.c.type},
                       {d, p.d.type},
                       {p.bias(), p.d.type},
                       number(alpha),
                       number(beta),
                       (algo->data[emu::reduction] & parts) != 0};
    job.check(*algo);
    const size_t needed = algo->data[emu::workspace];
    emu::need(workspace_bytes >= needed && emu::extent(workspace) >= needed &&
                  emu::alignment_of(workspace) >= 16,
              "the workspace is too small or misaligned");
    const cudaError_t queued = emu::enqueue(stream, "cublasLtMatmul", [=] {
      std::fill_n(static_cast<char*>(workspace), needed, char(0xff));  // as it may be
      job.run();
    });
    return queued == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
  });
}

}  // extern "C"
