// tensor/cpu/contrastive.cpp — losses of all pairs, one tile of the logits at a time.
//
//   contrastive   lse = most + ln total over rows and columns;   dx = e^(x - lse) of both - 2 w
//   contrastive_sigmoid  Σ ln(1 + e^(-y x));                            dx = -y σ(-y x)
#include "tensor/cpu/rows.h"
#include "tensor/kernels.h"

namespace diptych::cpu {
namespace {

/// Σ x[j] over labels equal to `own`, in the order of j.
template <class T>
T sum_of_right(const T* x, const int64_t* label, int64_t own, int64_t n) {
  T sum = 0;
  for (int64_t j = 0; j < n; ++j)
    if (label[j] == own) sum += x[j];
  return sum;
}

/// total of a line whose largest x was `before` and is now `most`.
template <class T>
T rescaled(T total, T before, T most) {
  return total * std::exp(before - most);
}

/// Columns that a thread takes at a time: whole cache lines, and what it keeps of them fits beside
/// the rows it reads.
constexpr int64_t kColumns = 64;

/// The columns `begin` … of x (M, N), n ≤ kColumns of them, join most and total.
template <class T>
void join_columns(const T* x, int64_t M, int64_t N, int64_t n, T* most, T* total) {
  T before[kColumns], now[kColumns] = {}, sum[kColumns] = {};
  std::copy(most, most + n, before);
  std::copy(most, most + n, now);
  for (int64_t i = 0; i < M; ++i)
    for (int64_t j = 0; j < n; ++j) now[j] = x[i * N + j] > now[j] ? x[i * N + j] : now[j];
  for (int64_t i = 0; i < M; ++i)
    for (int64_t j = 0; j < n; ++j) sum[j] += scalar::exp(x[i * N + j] - now[j]);
  for (int64_t j = 0; j < n; ++j) {
    total[j] = rescaled(total[j], before[j], now[j]) + sum[j];
    most[j] = now[j];
  }
}

template <class T>
void join_all_columns(const Tensor& x, const LogSums& columns) {
  const int64_t M = x.dim(0), N = x.dim(1);
  const T* px = x.data<T>();
  T *most = columns.most.data<T>(), *total = columns.total.data<T>();
  parallel_for((N + kColumns - 1) / kColumns, 1, [=](int64_t begin, int64_t end) {
    for (int64_t j = begin * kColumns; j < std::min(N, end * kColumns); j += kColumns)
      join_columns(px + j, M, N, std::min(kColumns, N - j), most + j, total + j);
  });
}

template <class T>
void join_all_rows(const Tensor& x, const Tensor& row_label, const Tensor& column_label,
                   const LogSums& rows, Tensor& right) {
  const int64_t N = x.dim(1);
  const T* px = x.data<T>();
  const int64_t *own = row_label.data<int64_t>(), *label = column_label.data<int64_t>();
  T *most = rows.most.data<T>(), *total = rows.total.data<T>(), *pr = right.data<T>();
  for_each_row<T>(x.dim(0), N, 1, [=](int64_t i, T* room) {
    const T before = most[i];
    most[i] = Max{}(before, max(N, px + i * N));
    total[i] = rescaled(total[i], before, most[i]) + exp_shifted(px + i * N, most[i], N, room);
    pr[i] += sum_of_right(px + i * N, label, own[i], N);
  });
}

}  // namespace

void contrastive(const Tensor& x, const Tensor& row_label, const Tensor& column_label,
                 const LogSums& rows, const LogSums& columns, Tensor& right) {
  visit_wide(x.dtype(), [&]<class T>(Type<T>) {
    join_all_rows<T>(x, row_label, column_label, rows, right);
    join_all_columns<T>(x, columns);
  });
}

void contrastive_grad(const Tensor& row_lse, const Tensor& column_lse, const Tensor& row_label,
                      const Tensor& column_label, const Tensor& weight, Tensor& x) {
  const int64_t N = x.dim(1);
  const int64_t *own = row_label.data<int64_t>(), *label = column_label.data<int64_t>();
  visit_wide(x.dtype(), [&]<class T>(Type<T>) {
    const T *row = row_lse.data<T>(), *column = column_lse.data<T>(), *w = weight.data<T>();
    T* px = x.data<T>();
    for_each_row<T>(x.dim(0), N, 0, [=](int64_t i, T*) {
      const T shift = row[i], twice = 2 * w[i];
      const int64_t right = own[i];
      T* __restrict at = px + i * N;
      for (int64_t j = 0; j < N; ++j)
        at[j] = scalar::exp(at[j] - shift) + scalar::exp(at[j] - column[j]);
      for (int64_t j = 0; j < N; ++j) at[j] -= label[j] == right ? twice : T(0);
    });
  });
}

void contrastive_sigmoid(const Tensor& x, const Tensor& row_label, const Tensor& column_label,
                         Tensor& loss) {
  const int64_t N = x.dim(1);
  const int64_t *own = row_label.data<int64_t>(), *label = column_label.data<int64_t>();
  visit_wide(x.dtype(), [&]<class T>(Type<T>) {
    const T* px = x.data<T>();
    T* pl = loss.data<T>();
    for_each_row<T>(x.dim(0), N, 1, [=](int64_t i, T* __restrict room) {
      const T* at = px + i * N;
      const int64_t right = own[i];
      for (int64_t j = 0; j < N; ++j) room[j] = label[j] == right ? -at[j] : at[j];
      for (int64_t j = 0; j < N; ++j) room[j] = scalar::softplus(room[j]);
      pl[i] += sum(N, room);
    });
  });
}

void contrastive_sigmoid_grad(const Tensor& row_label, const Tensor& column_label, Tensor& x) {
  const int64_t N = x.dim(1);
  const int64_t *own = row_label.data<int64_t>(), *label = column_label.data<int64_t>();
  visit_wide(x.dtype(), [&]<class T>(Type<T>) {
    T* px = x.data<T>();
    for_each_row<T>(x.dim(0), N, 0, [=](int64_t i, T*) {
      T* at = px + i * N;
      const int64_t right = own[i];
      for (int64_t j = 0; j < N; ++j)
        at[j] = label[j] == right ? -scalar::sigmoid(-at[j]) : scalar::sigmoid(at[j]);
    });
  });
}

}  // namespace diptych::cpu
