// cuda/contrastive.cu — losses of all pairs, one tile of the logits at a time.
//
//   contrastive   lse = most + ln total over rows and columns;   dx = e^(x - lse) of both - 2 w
//   contrastive_sigmoid  Σ ln(1 + e^(-y x));                            dx = -y σ(-y x)
//
// Rows are dealt out as in softmax. Columns: 32 side by side are a block's, whose warps take every
// eighth row; a tile has 1,024 columns, so few blocks, but reads its values from the cache.
#include <cmath>
#include <limits>

#include "cuda/columns.cuh"
#include "cuda/rows.cuh"
#include "tensor/kernels.h"
#include "tensor/scalar_math.h"

namespace diptych::cuda {
namespace {

/// Which pairs are right.
struct Labels {
  const int64_t *row, *column;
};

Labels labels(const Tensor& row, const Tensor& column) {
  return {row.data<int64_t>(), column.data<int64_t>()};
}

/// LogSums as kernels see them.
template <class T>
struct Sums {
  explicit Sums(const LogSums& s) : most(s.most.data<T>()), total(s.total.data<T>()) {}

  /// Of line i: what a tile brings, whose largest is m and whose sum under the larger of both
  /// `larger(i, m)`.
  __device__ T larger(int64_t i, T m) const { return m > most[i] ? m : most[i]; }
  __device__ void join(int64_t i, T now, T sum) const {
    total[i] = total[i] * scalar::exp(most[i] - now) + sum;
    most[i] = now;
  }

  T *most, *total;
};

template <class T, class S>
__global__ void join_rows(const T* x, Labels label, Sums<T> sums, T* right, int64_t M, int64_t N) {
  DIPTYCH_SHARED(T[kBlock / kWarp], room);
  const S share(M, N, room);
  const Row<T, S> row(x, share);
  const int64_t own = label.row[share.row];
  const T now = sums.larger(share.row, share.max(row));
  const T sum = share.sum([now](T v) { return scalar::exp(v - now); }, row);
  const T of_right = share.sum([&](T v, int64_t j) { return label.column[j] == own ? v : T(0); },
                               row, Numbers<S>{});
  if (!share.leads()) return;
  sums.join(share.row, now, sum);
  right[share.row] += of_right;
}

template <class T>
__global__ void join_columns(const T* x, Sums<T> sums, int64_t M, int64_t N) {
  DIPTYCH_SHARED(T[kBlock], room);
  const int64_t j = int64_t{blockIdx.x} * kWarp + lane();
  const int64_t end = j < N ? M : 0;
  T most = -std::numeric_limits<T>::infinity(), sum = 0;
  for (int64_t i = warp(); i < end; i += kBlock / kWarp)
    most = x[i * N + j] > most ? x[i * N + j] : most;
  most = fold_column(most, Max{}, room, kWarp);
  const T now = j < N ? sums.larger(j, most) : T(0);
  for (int64_t i = warp(); i < end; i += kBlock / kWarp) sum += scalar::exp(x[i * N + j] - now);
  sum = fold_column(sum, Sum{}, room, kWarp);
  if (warp() == 0 && j < N) sums.join(j, now, sum);
}

template <class T, class S>
__global__ void contrastive_grad_rows(T* x, Labels label, const T* row_lse, const T* column_lse,
                                      const T* weight, int64_t M, int64_t N) {
  const S share(M, N, nullptr);
  const int64_t own = label.row[share.row];
  const T shift = row_lse[share.row], twice = 2 * weight[share.row];
  const auto f = [=](T v, int64_t j) {
    const T both = scalar::exp(v - shift) + scalar::exp(v - column_lse[j]);
    return both - (label.column[j] == own ? twice : T(0));
  };
  share.write(x, f, Row<T, S>(x, share), Numbers<S>{});
}

template <class T, class S>
__global__ void contrastive_sigmoid_rows(const T* x, Labels label, T* loss, int64_t M, int64_t N) {
  DIPTYCH_SHARED(T[kBlock / kWarp], room);
  const S share(M, N, room);
  const int64_t own = label.row[share.row];
  const T sum =
      share.sum([&](T v, int64_t j) { return scalar::softplus(label.column[j] == own ? -v : v); },
                Row<T, S>(x, share), Numbers<S>{});
  if (share.leads()) loss[share.row] += sum;
}

template <class T, class S>
__global__ void contrastive_sigmoid_grad_rows(T* x, Labels label, int64_t M, int64_t N) {
  const S share(M, N, nullptr);
  const int64_t own = label.row[share.row];
  const auto f = [=](T v, int64_t j) {
    return label.column[j] == own ? -scalar::sigmoid(-v) : scalar::sigmoid(v);
  };
  share.write(x, f, Row<T, S>(x, share), Numbers<S>{});
}

/// Calls f(Type<T>, Type<Share>, grid, x) with how the rows of a tile x are dealt out.
template <class F>
void visit_rows(const Tensor& x, const F& f) {
  visit_wide(x.dtype(), [&]<class T>(Type<T> type) {
    T* px = x.data<T>();
    const auto run = [&]<class S>(Type<S> share, const Grid& grid) { f(type, share, grid, px); };
    visit_share<T>(x.dim(0), x.dim(1), run, px);
  });
}

}  // namespace

void contrastive(const Tensor& x, const Tensor& row_label, const Tensor& column_label,
                 const LogSums& rows, const LogSums& columns, Tensor& right) {
  const int64_t M = x.dim(0), N = x.dim(1);
  visit_rows(x, [&]<class T, class S>(Type<T>, Type<S>, const Grid& grid, const T* px) {
    launch("contrastive", join_rows<T, S>, grid, px, labels(row_label, column_label), Sums<T>(rows),
           right.data<T>(), M, N);
    launch("contrastive", join_columns<T>, Grid{ceil_div(N, kWarp)}, px, Sums<T>(columns), M, N);
  });
}

void contrastive_grad(const Tensor& row_lse, const Tensor& column_lse, const Tensor& row_label,
                      const Tensor& column_label, const Tensor& weight, Tensor& x) {
  visit_rows(x, [&]<class T, class S>(Type<T>, Type<S>, const Grid& grid, T* px) {
    launch("contrastive_grad", contrastive_grad_rows<T, S>, grid, px,
           labels(row_label, column_label), row_lse.data<T>(), column_lse.data<T>(),
           weight.data<T>(), x.dim(0), x.dim(1));
  });
}

void contrastive_sigmoid(const Tensor& x, const Tensor& row_label, const Tensor& column_label,
                         Tensor& loss) {
  visit_rows(x, [&]<class T, class S>(Type<T>, Type<S>, const Grid& grid, const T* px) {
    launch("contrastive_sigmoid", contrastive_sigmoid_rows<T, S>, grid, px,
           labels(row_label, column_label), loss.data<T>(), x.dim(0), x.dim(1));
  });
}

void contrastive_sigmoid_grad(const Tensor& row_label, const Tensor& column_label, Tensor& x) {
  visit_rows(x, [&]<class T, class S>(Type<T>, Type<S>, const Grid& grid, T* px) {
    launch("contrastive_sigmoid_grad", contrastive_sigmoid_grad_rows<T, S>, grid, px,
           labels(row_label, column_label), x.dim(0), x.dim(1));
  });
}

}  // namespace diptych::cuda
