// tensor/cpu/reduce.cpp — sums and maxima along one axis: (outer, N, inner) → (outer, inner).
#include "tensor/cpu/flat.h"
#include "tensor/cpu/row_groups.h"
#include "tensor/cpu/rows.h"
#include "tensor/kernels.h"

namespace diptych::cpu {
namespace {

template <class R, class A>
constexpr A kStart = std::is_same_v<R, Sum> ? A(0) : -std::numeric_limits<A>::infinity();

// Both cases cut N into chunks of a fixed length, reduce each to a part, and combine the parts in
// order: bit-identical for any number of threads, and one long row keeps all of them busy.
constexpr int64_t kRowChunk = 16384;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// inner = 1: every row to one value.
template <class R, class T>
void reduce_rows(const T* x, int64_t outer, int64_t n, T* y) {
  using A = acc_t<T>;
  static thread_local Scratch scratch;
  const int64_t chunks = std::max<int64_t>(1, ceil_div(n, kRowChunk));
  A* parts = scratch.get<A>(outer * chunks);
  for_each_row<A>(outer * chunks, std::min(n, kRowChunk), 1, [&](int64_t task, A* room) {
    const int64_t first = task % chunks * kRowChunk, count = std::min(kRowChunk, n - first);
    const A* in = widen(x + task / chunks * n + first, count, room);
    parts[task] = fold(
        count, kStart<R, A>, R{}, [](const auto& v) { return v; }, in);
  });
  for (int64_t row = 0; row < outer; ++row) {
    A total = parts[row * chunks];
    for (int64_t k = 1; k < chunks; ++k) total = R{}(total, parts[row * chunks + k]);
    y[row] = cast<T>(total);
  }
}

/// part[j] = x[0][j] ∘ … ∘ x[rows-1][j]; x (rows, stride), j < width ≤ 256
template <class R, class T>
void reduce_columns(const T* x, int64_t rows, int64_t stride, int64_t width, acc_t<T>* part) {
  using A = acc_t<T>;
  alignas(64) A total[256];
  std::fill(total, total + 256, kStart<R, A>);
  for_each_group(0, rows, [&](auto group, int64_t i) {
    for_each_vector<A>(width, [&](int64_t j, int64_t n) {
      vec<A> sum = load(total + j);
      for (int64_t r = 0; r < group; ++r) sum = R{}(sum, load_wide(x + (i + r) * stride + j, n));
      store(total + j, sum);
    });
  });
  std::copy(total, total + width, part);
}

/// inner > 1: rows of length inner are combined element by element.
template <class R, class T>
void reduce_planes(const T* x, int64_t outer, int64_t n, int64_t inner, T* y) {
  using A = acc_t<T>;
  constexpr int64_t kBand = 256;
  static thread_local Scratch scratch;
  const RowChunks chunks(n);
  const int64_t count = std::max<int64_t>(1, chunks.count()), bands = ceil_div(inner, kBand);
  A* parts = scratch.get<A>(outer * count * inner);
  const int64_t tasks = outer * count * bands, work = chunks.length * std::min(inner, kBand);
  parallel_for(tasks, std::max<int64_t>(1, 16384 / work), [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t band = task % bands * kBand, plane = task / bands;
      const int64_t chunk = plane % count, first = chunks.begin(chunk);
      reduce_columns<R>(x + (plane / count * n + first) * inner + band, chunks.end(chunk) - first,
                        inner, std::min(kBand, inner - band), parts + plane * inner + band);
    }
  });
  for_each_row<A>(outer, count * inner, 1, [&](int64_t o, A*) {
    A* total = parts + o * count * inner;
    for (int64_t k = 1; k < count; ++k)
      for (int64_t j = 0; j < inner; ++j) total[j] = R{}(total[j], total[k * inner + j]);
    convert(total, inner, y + o * inner);
  });
}

template <class R, class T>
void reduce_with(const Tensor& x, Tensor& y) {
  const int64_t outer = x.dim(0), n = x.dim(1), inner = x.dim(2);
  if (y.numel() == 0) return;
  if (inner == 1) return reduce_rows<R>(x.data<T>(), outer, n, y.data<T>());
  reduce_planes<R>(x.data<T>(), outer, n, inner, y.data<T>());
}

/// First maximum of n values with a stride; a NaN counts as the maximum.
template <class T>
int64_t first_maximum(const T* x, int64_t n, int64_t stride) {
  using A = acc_t<T>;
  int64_t best = 0;
  for (int64_t i = 0; i < n; ++i) {
    const A v = x[i * stride], top = x[best * stride];
    if (v != v) return i;
    if (v > top) best = i;
  }
  return best;
}

}  // namespace

void reduce(Reduce op, const Tensor& x, Tensor& y) {
  visit_float(x.dtype(), [&]<class T>(Type<T>) {
    op == Reduce::sum ? reduce_with<Sum, T>(x, y) : reduce_with<MaxOrNan, T>(x, y);
  });
}

void arg_max(const Tensor& x, Tensor& index) {
  const int64_t n = x.dim(1), inner = x.dim(2);
  int64_t* out = index.data<int64_t>();
  visit_float(x.dtype(), [&]<class T>(Type<T>) {
    const T* px = x.data<T>();
    parallel_for(index.numel(), row_grain(n), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        out[i] = first_maximum(px + i / inner * n * inner + i % inner, n, inner);
    });
  });
}

void sum_squares(const std::vector<Tensor>& x, Tensor& y) {
  constexpr int64_t kChunk = 512;  // as f64 in the first-level cache
  *y.data<double>() = 0;
  if (x.empty()) return;
  Flat flat;
  for (const Tensor& array : x) flat.append(array.numel());
  const int64_t chunks = ceil_div(flat.size(), kChunk);
  static thread_local Scratch scratch;
  double* parts = scratch.get<double>(chunks);
  visit_float(x[0].dtype(), [&, parts]<class T>(Type<T>) {
    std::vector<const T*> arrays;
    for (const Tensor& array : x) arrays.push_back(array.data<T>());
    for_each_row<double>(chunks, kChunk, 1, [&](int64_t chunk, double* room) {
      const int64_t begin = chunk * kChunk, end = std::min(begin + kChunk, flat.size());
      double* to = room;
      flat.for_each_piece(begin, end, [&](int64_t k, int64_t i, int64_t n) {
        convert(arrays[static_cast<size_t>(k)] + i, n, to);
        to += n;
      });
      parts[chunk] = sum(
          end - begin, [](const auto& v) { return v * v; }, static_cast<const double*>(room));
    });
  });
  for (int64_t k = 0; k < chunks; ++k) *y.data<double>() += parts[k];
}

}  // namespace diptych::cpu
