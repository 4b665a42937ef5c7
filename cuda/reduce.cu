// cuda/reduce.cu — sums and maxima along one axis, (outer, N, inner) → (outer, inner), and sums of
// squares over many arrays.
//
// What is long is cut into chunks, of a length that depends on nothing but the problem; one launch
// folds each chunk to a part, the next one the parts. So the order of additions is always the same.
#include <limits>

#include "cuda/batch.cuh"
#include "cuda/packs.cuh"
#include "tensor/kernels.h"

namespace diptych::cuda {
namespace {

/// What a sum or a maximum of nothing is.
template <class R, class A>
__device__ A start_of() {
  return std::is_same_v<R, Sum> ? A(0) : -std::numeric_limits<A>::infinity();
}

/// (outer, n, inner), the n in `chunks` pieces of `chunk`.
struct Cut {
  Cut(int64_t outer_, int64_t n_, int64_t inner_, int64_t longest)
      : outer(outer_), n(n_), inner(inner_), chunk(n_ < longest ? n_ : longest) {
    chunks = n_ == 0 ? 1 : ceil_div(n_, chunk);
  }
  int64_t outer, n, inner, chunk, chunks;
};

// inner = 1. A row, or a chunk of one, belongs to a warp where it is short, else to a block:
// neighbouring threads take neighbouring packs, and their results are folded in a tree.
constexpr int64_t kShortRow = 1024, kRowChunk = 16384;

/// y (outer, chunks); kTeam threads fold a chunk.
template <class R, int kTeam, class T, class Y>
__global__ void fold_rows(Cut cut, const T* x, bool packed, Y* y) {
  constexpr int S = Pack<T>::kSize;
  DIPTYCH_SHARED(acc_t<T>[kBlock / kWarp], room);
  const int64_t task = thread_number() / kTeam, first = task % cut.chunks * cut.chunk;
  const bool exists = task < cut.outer * cut.chunks;
  const int64_t end = !exists ? 0 : first + cut.chunk < cut.n ? first + cut.chunk : cut.n;
  const int member = static_cast<int>(threadIdx.x) % kTeam;
  const T* row = x + task / cut.chunks * cut.n;
  acc_t<T> total = start_of<R, acc_t<T>>();
  for (int64_t i = first + member * S; i < end; i += kTeam * S) {
    const Pack<T> pack = load<S>(row + i, end - i, packed);
    DIPTYCH_UNROLL
    for (int j = 0; j < S; ++j)
      if (i + j < end) total = R{}(total, widen(pack.at[j]));
  }
  if constexpr (kTeam == kWarp) {
    total = warp_fold(total, R{});
  } else {
    total = block_fold(total, R{}, room);
  }
  if (exists && member == 0) y[task] = narrow<Y>(total);
}

template <class R, class T, class Y>
void start_rows(const Cut& cut, const T* x, Y* y) {
  const int64_t tasks = cut.outer * cut.chunks;
  const bool packed = is_packed(x) && (cut.outer == 1 || cut.n % Pack<T>::kSize == 0);
  cut.chunk <= kShortRow
      ? launch("reduce", &fold_rows<R, kWarp, T, Y>, grid_for(tasks * kWarp), cut, x, packed, y)
      : launch("reduce", &fold_rows<R, kBlock, T, Y>, Grid{tasks}, cut, x, packed, y);
}

// inner > 1. A block has `width` neighbouring columns, which its threads read side by side; they
// stand in kBlock / width rows of that many. A thread folds every kBlock / width-th element of its
// column's chunk, then the rows are folded in a tree:
//
//   column   0 1 2 … 31
//   row 0    x x x … x      elements 0, 8, 16, …      rows 0-3 ← rows 0-3 ∘ rows 4-7
//   …                                                 rows 0-1 ← rows 0-1 ∘ rows 2-3
//   row 7    x x x … x      elements 7, 15, 23, …     row 0 ← row 0 ∘ row 1
constexpr int64_t kColumnChunk = 256;

/// y (outer, chunks, inner); width: a power of 2, at most kBlock
template <class R, class T, class Y>
__global__ void fold_columns(Cut cut, int width, int64_t bands, const T* x, Y* y) {
  using A = acc_t<T>;
  DIPTYCH_SHARED(A[kBlock], room);
  const int me = static_cast<int>(threadIdx.x), place = me / width, rows = kBlock / width;
  const int64_t block = blockIdx.x, task = block / bands;
  const int64_t column = block % bands * width + me % width;
  const int64_t first = task % cut.chunks * cut.chunk;
  const int64_t end = column >= cut.inner         ? 0
                      : first + cut.chunk < cut.n ? first + cut.chunk
                                                  : cut.n;
  const T* plane = x + task / cut.chunks * cut.n * cut.inner + column;
  A total = start_of<R, A>();
  for (int64_t i = first + place; i < end; i += rows)
    total = R{}(total, widen(plane[i * cut.inner]));
  room[me] = total;
  for (int step = rows / 2; step > 0; step /= 2) {
    __syncthreads();
    if (place < step) room[me] = R{}(room[me], room[me + step * width]);
  }
  if (place == 0 && column < cut.inner) y[task * cut.inner + column] = narrow<Y>(room[me]);
}

template <class R, class T, class Y>
void start_columns(const Cut& cut, const T* x, Y* y) {
  int width = kWarp;  // or as many as leave fewer threads without a column, or without an element
  while (width / 2 >= cut.inner) width /= 2;
  while (width < cut.inner && width < kBlock && kBlock / width > cut.chunk) width *= 2;
  const int64_t bands = ceil_div(cut.inner, width);
  launch("reduce", &fold_columns<R, T, Y>, Grid{bands * cut.outer * cut.chunks}, cut, width, bands,
         x, y);
}

/// x (outer, n, inner) → y (outer, inner)
template <class R, class T, class Y>
void fold(int64_t outer, int64_t n, int64_t inner, const T* x, Y* y) {
  const Cut cut(outer, n, inner, inner == 1 ? kRowChunk : kColumnChunk);
  const auto start = [&](auto* to) {
    inner == 1 ? start_rows<R>(cut, x, to) : start_columns<R>(cut, x, to);
  };
  if (cut.chunks == 1) return start(y);
  using A = acc_t<T>;
  const Tensor parts = empty({outer, cut.chunks, inner}, dtype_of<A>(), Device::cuda);
  start(parts.data<A>());
  fold<R>(outer, cut.chunks, inner, parts.data<A>(), y);
}

/// A candidate for the first maximum; a NaN counts as the maximum.
template <class A>
struct Candidate {
  A value;
  int64_t index;

  __device__ bool beats(const Candidate& b) const {
    const bool nan = value != value, other = b.value != b.value;
    if (nan != other) return nan;
    return value > b.value || (!(value < b.value) && index < b.index);
  }
};

/// `team` threads of a warp, a power of 2, search n elements `inner` apart. All of them stay to the
/// end, where each pair of halves compares what it found.
template <class T>
__global__ void find_maximum(int64_t count, int64_t n, int64_t inner, int team, const T* x,
                             int64_t* index) {
  using A = acc_t<T>;
  const int64_t task = thread_number() / team, member = thread_number() % team;
  const T* at = x + task / inner * n * inner + task % inner;
  Candidate<A> best{-std::numeric_limits<A>::infinity(), n};
  for (int64_t i = member; i < (task < count ? n : 0); i += team) {
    const Candidate<A> next{widen(at[i * inner]), i};
    if (next.beats(best)) best = next;
  }
  for (int step = team / 2; step > 0; step /= 2) {
    const Candidate<A> other{__shfl_xor_sync(kAllLanes, best.value, step),
                             __shfl_xor_sync(kAllLanes, best.index, step)};
    if (other.beats(best)) best = other;
  }
  if (task < count && member == 0) index[task] = best.index;
}

// Sums of squares: one for each chunk of each array, then the sum of them all.

/// An array that the sum is over.
template <class T>
struct Summed {
  static constexpr int64_t kChunk = 8192;
  Summed() = default;
  explicit Summed(const Tensor& array) : x(array.data<T>()), n(array.numel()) {}
  const T* x;
  int64_t n;
};

/// part[i] = Σ x² over the chunk of block i
template <class T>
__global__ void square_chunks(const __grid_constant__ Batch<Summed<T>> batch, bool packed,
                              double* part) {
  constexpr int S = Pack<T>::kSize;
  DIPTYCH_SHARED(double[kBlock / kWarp], room);
  const auto [number, first, last] = batch.find(blockIdx.x);
  const T* x = batch.item[number].x;
  double total = 0;
  for (int64_t i = first + int64_t{threadIdx.x} * S; i < last; i += kBlock * S) {
    const Pack<T> pack = load<S>(x + i, last - i, packed);
    DIPTYCH_UNROLL
    for (int j = 0; j < S; ++j) {
      const double v = widen(pack.at[j]);
      total += v * v;
    }
  }
  total = block_fold(total, Sum{}, room);
  if (threadIdx.x == 0) part[blockIdx.x] = total;
}

/// f64 (chunks of all arrays)
template <class T>
Tensor sums_of_squares(const std::vector<Tensor>& x) {
  int64_t chunks = 0;
  bool packed = true;
  for (const Tensor& array : x) {
    chunks += ceil_div(array.numel(), Summed<T>::kChunk);
    packed = packed && is_packed(array.data<T>());
  }
  const Tensor parts = empty({chunks}, DType::f64, Device::cuda);
  double* part = parts.data<double>();
  for_each_batch<Summed<T>>(x, [&](const Batch<Summed<T>>& batch) {
    launch("sum_squares", &square_chunks<T>, Grid{batch.blocks()}, batch, packed, part);
    part += batch.blocks();
  });
  return parts;
}

}  // namespace

void reduce(Reduce op, const Tensor& x, Tensor& y) {
  const int64_t outer = x.dim(0), n = x.dim(1), inner = x.dim(2);
  if (y.numel() == 0) return;
  visit_float(x.dtype(), [&]<class T>(Type<T>) {
    op == Reduce::sum ? fold<Sum>(outer, n, inner, x.data<T>(), y.data<T>())
                      : fold<Max>(outer, n, inner, x.data<T>(), y.data<T>());
  });
}

void arg_max(const Tensor& x, Tensor& index) {
  const int64_t count = index.numel(), n = x.dim(1), inner = x.dim(2);
  const int team = inner == 1 ? kWarp : 1;
  visit_float(x.dtype(), [&]<class T>(Type<T>) {
    launch("arg_max", &find_maximum<T>, grid_for(count * team), count, n, inner, team, x.data<T>(),
           index.data<int64_t>());
  });
}

void sum_squares(const std::vector<Tensor>& x, Tensor& y) {
  const DType dtype = x.empty() ? DType::f64 : x[0].dtype();
  const Tensor parts = visit_float(dtype, [&]<class T>(Type<T>) { return sums_of_squares<T>(x); });
  fold<Sum>(1, parts.numel(), 1, parts.data<double>(), y.data<double>());
}

}  // namespace diptych::cuda
