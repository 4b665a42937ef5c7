// cuda/index.cu — rows by index, and the sum of gradients back into them.
//
// The sum has no atomic additions, whose order changes from run to run. Positions are sorted by the
// row they belong to, and the sorted positions cut into windows of one length, however long the
// list of a row is: the token that starts every text is there as often as there are texts.
//
//   window                 0      |      1      |      2       |      3
//   row of position   3  3  7  7  | 7  7  7  7  | 7  9  9  11  | 11  …
//
// A warp adds up the runs of a window. A run that is a whole list is a row of dx (3 and 9); of one
// that comes from the window before, or else goes on into the next, there is at most one each, and
// these parts are added in a second step (7 and 11).
#include "cuda/groups.cuh"
#include "cuda/wide.cuh"
#include "tensor/kernels.h"

namespace diptych::cuda {
namespace {

/// y[i] = x[index[i]], a warp for each row of `width` units; zeros where the index is out of range.
template <class Unit>
__global__ void gather_units(const Unit* x, const int64_t* index, Unit* y, int64_t V, int64_t N,
                             int64_t width, IndexReport* report) {
  const int64_t i = int64_t{blockIdx.x} * warps() + warp();
  if (i >= N) return;
  const int64_t v = index[i];
  const bool known = in_range(v, V, Indexed::gather_rows, report);
  for (int64_t j = lane(); j < width; j += kWarp)
    y[i * width + j] = known ? x[v * width + j] : Unit{};
}

/// The sorted positions of the rows of g (N, D), whose sums are dx (V, D).
template <class T>
struct Runs {
  using A = acc_t<T>;

  /// parts[w, 0]: of the run that window w has from before; parts[w, 1]: of the one that goes on.
  __device__ A* part(int64_t window, int which, int64_t column) const {
    return parts + (2 * window + which) * D + column;
  }

  const T* g;
  const int64_t *order, *value, *first;
  int64_t V, D, length;  ///< of a window
  A* parts;
  T* dx;
};

/// The columns of this thread: a warp takes a window or a row, and 32 packs of columns.
template <int kPack>
__device__ int64_t own_column() {
  return (int64_t{blockIdx.y} * kWarp + lane()) * kPack;
}

template <class T, int kPack>
__global__ void add_runs(Runs<T> of) {
  const int64_t window = int64_t{blockIdx.x} * warps() + warp(), column = own_column<kPack>();
  const int64_t begin = window * of.length, there = of.first[of.V];
  const int64_t end = begin + of.length < there ? begin + of.length : there;
  if (column >= of.D) return;
  for (int64_t i = begin; i < end;) {
    const int64_t v = of.value[i], last = of.first[v + 1], stop = last < end ? last : end;
    Pack<acc_t<T>, kPack> sum{};
    for (; i < stop; ++i) sum = sum + load_wide<kPack>(of.g + of.order[i] * of.D + column);
    if (of.first[v] < begin) {
      store_each(sum, of.part(window, 0, column));
    } else if (last > end) {
      store_each(sum, of.part(window, 1, column));
    } else {
      store_narrow(sum, of.dx + v * of.D + column);
    }
  }
}

/// Rows of no position, and those of several windows.
template <class T, int kPack>
__global__ void join_runs(Runs<T> of) {
  const int64_t v = int64_t{blockIdx.x} * warps() + warp(), column = own_column<kPack>();
  if (v >= of.V || column >= of.D) return;
  const int64_t begin = of.first[v], end = of.first[v + 1];
  const int64_t from = begin / of.length, to = (end - 1) / of.length;
  Pack<acc_t<T>, kPack> sum{};
  if (begin < end && from == to) return;
  if (begin < end) sum = load_each<kPack>(of.part(from, 1, column));
  for (int64_t w = from + 1; begin < end && w <= to; ++w)
    sum = sum + load_each<kPack>(of.part(w, 0, column));
  store_narrow(sum, of.dx + v * of.D + column);
}

}  // namespace

void gather_rows(const Tensor& x, const Tensor& index, Tensor& y) {
  const int64_t N = index.numel(), V = x.dim(0), D = x.dim(1), bytes = D * size_of(x.dtype());
  const auto run = [&]<class Unit>(Type<Unit>, int64_t width) {
    launch("gather_rows", gather_units<Unit>, Grid{ceil_div(N, kBlock / kWarp)},
           static_cast<const Unit*>(x.raw()), index.data<int64_t>(), static_cast<Unit*>(y.raw()), V,
           N, width, index_report());
  };
  const auto *px = static_cast<const char*>(x.raw()), *py = static_cast<const char*>(y.raw());
  if (bytes % 16 == 0 && is_packed(px, py)) return run(Type<Pack<char>>{}, bytes / 16);
  visit_all(x.dtype(), [&](auto type) { run(type, D); });
}

void scatter_add_rows(const Tensor& g, const Tensor& index, Tensor& dx) {
  const int64_t N = index.numel(), V = dx.dim(0), D = dx.dim(1);
  const char* name = "scatter_add_rows";
  const Groups groups(name, index, V, Indexed::scatter_add_rows);
  // Short windows keep many warps busy; beyond 8,192 of them a row could have too many parts.
  const int64_t length = N > 32 * 8192 ? ceil_div(N, 8192) : 32, windows = ceil_div(N, length);
  visit_float(g.dtype(), [&]<class T>(Type<T>) {
    using A = acc_t<T>;
    const Tensor parts = empty({windows, 2, D}, dtype_of<A>(), Device::cuda);
    const Runs<T> of{g.data<T>(),
                     groups.order.data<int64_t>(),
                     groups.value.data<int64_t>(),
                     groups.first.data<int64_t>(),
                     V,
                     D,
                     length,
                     parts.data<A>(),
                     dx.data<T>()};
    const auto run = [&]<int kPack>(std::integral_constant<int, kPack>) {
      const int64_t across = ceil_div(D, kWarp * kPack), down = kBlock / kWarp;
      launch(name, add_runs<T, kPack>, Grid{ceil_div(windows, down), kBlock, across}, of);
      launch(name, join_runs<T, kPack>, Grid{ceil_div(V, down), kBlock, across}, of);
    };
    visit_pack<T>(D, run, of.g, of.dx);
  });
}

}  // namespace diptych::cuda
