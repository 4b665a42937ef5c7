// tensor/cpu/batch_norm.cpp — batch normalisation (Ioffe and Szegedy, 2015) of the columns of x
// (N, D), with a ReLU behind it if wanted.
//
//   x̂ = (x - mean) rstd,  y = x̂ w + b          g ← g where y > 0 (relu), dw = Σ g x̂, db = Σ g
//   dx = rstd w (g - db / N - x̂ dw / N)         if mean and rstd are those of x, else rstd w g
//
// Columns are added up in chunks of a fixed number of rows, and the chunks in order: in f64, since
// there may be thousands of them.
#include <cmath>

#include "tensor/cpu/gemm_split.h"
#include "tensor/cpu/rows.h"
#include "tensor/kernels.h"

namespace diptych::cpu {
namespace {

constexpr int64_t kChunk = 128;  // rows
constexpr int64_t kBand = 128;   // columns: with a chunk, what the first-level cache holds twice

/// Calls f(chunk, first row, rows, first column, columns) for every chunk of every band.
template <class F>
void for_each_patch(int64_t N, int64_t D, const F& f) {
  const int64_t bands = ceil_div(D, kBand);
  parallel_for(ceil_div(N, kChunk) * bands, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t chunk = task / bands, row = chunk * kChunk, column = task % bands * kBand;
      f(chunk, row, std::min(kChunk, N - row), column, std::min(kBand, D - column));
    }
  });
}

/// mean[j], m2[j]: mean and Σ (x - mean)² of column j over some rows; x has row stride D.
template <class T>
void patch_moments(const T* x, int64_t rows, int64_t D, int64_t columns, acc_t<T>* __restrict mean,
                   acc_t<T>* __restrict m2) {
  using A = acc_t<T>;
  A room[kBand];
  std::fill(mean, mean + columns, A(0));
  std::fill(m2, m2 + columns, A(0));
  for (int64_t i = 0; i < rows; ++i) {
    const A* in = widen(x + i * D, columns, room);
    for (int64_t j = 0; j < columns; ++j) mean[j] += in[j];
  }
  for (int64_t j = 0; j < columns; ++j) mean[j] /= static_cast<A>(rows);
  for (int64_t i = 0; i < rows; ++i) {
    const A* in = widen(x + i * D, columns, room);
    for (int64_t j = 0; j < columns; ++j) m2[j] += (in[j] - mean[j]) * (in[j] - mean[j]);
  }
}

/// One column from its chunks (Chan, Golub and LeVeque, 1979):
///   mean = Σ n_k mean_k / N,  Σ (x - mean)² = Σ m2_k + n_k (mean_k - mean)²
template <class A>
std::pair<A, A> merge_moments(const A* means, const A* m2, int64_t N, int64_t D) {
  const int64_t chunks = ceil_div(N, kChunk);
  const auto rows = [N](int64_t k) {
    return static_cast<double>(std::min(kChunk, N - k * kChunk));
  };
  double total = 0, squares = 0;
  for (int64_t k = 0; k < chunks; ++k) total += rows(k) * static_cast<double>(means[k * D]);
  const double mean = total / static_cast<double>(N);
  for (int64_t k = 0; k < chunks; ++k) {
    const double off = static_cast<double>(means[k * D]) - mean;
    squares += static_cast<double>(m2[k * D]) + rows(k) * off * off;
  }
  return {static_cast<A>(mean), static_cast<A>(squares / static_cast<double>(N))};
}

/// What every row needs, in the arithmetic type.
template <class T>
struct Columns {
  using A = acc_t<T>;

  Columns(const Tensor& weight, const Tensor& b, const Tensor& m, const Tensor& r, Scratch& room)
      : mean(m.data<A>()), rstd(r.data<A>()) {
    const int64_t D = weight.numel();
    A* memory = room.get<A>(3 * D);
    bias = widen(b.data<T>(), D, memory);
    const A* w = widen(weight.data<T>(), D, memory + D);
    A* product = memory + 2 * D;
    for (int64_t j = 0; j < D; ++j) product[j] = w[j] * rstd[j];
    scale = product;
  }

  const A *mean, *rstd, *bias, *scale;  // scale = weight rstd
};

/// g where the ReLU let x pass; `room` for a band of columns.
template <class A>
const A* behind_relu(const A* in, const A* g, const A* mean, const A* scale, const A* bias,
                     int64_t n, A* __restrict room) {
  for (int64_t j = 0; j < n; ++j)
    room[j] = (in[j] - mean[j]) * scale[j] + bias[j] > A(0) ? g[j] : A(0);
  return room;
}

template <class T>
struct BatchNormGrad {
  using A = acc_t<T>;

  int64_t N, D;
  const T *x, *g;
  Columns<T> columns;
  bool relu;

  /// Calls f(row, x, g) with values `column` … of each row, g as it arrives at the sum.
  template <class F>
  void for_rows(int64_t row, int64_t rows, int64_t column, int64_t n, const F& f) const {
    A room[3][kBand];
    for (int64_t i = row; i < row + rows; ++i) {
      const A* in = widen(x + i * D + column, n, room[0]);
      const A* grad = widen(g + i * D + column, n, room[1]);
      if (relu)
        grad = behind_relu(in, grad, columns.mean + column, columns.scale + column,
                           columns.bias + column, n, room[2]);
      f(i, in, grad);
    }
  }

  /// dw, db (D)
  void sums(A* dw, A* db) const {
    static thread_local Scratch scratch;
    const int64_t chunks = ceil_div(N, kChunk);
    A *dws = scratch.get<A>(2 * chunks * D), *dbs = dws + chunks * D;
    for_each_patch(N, D, [&](int64_t chunk, int64_t row, int64_t rows, int64_t column, int64_t n) {
      A w[kBand] = {}, b[kBand] = {};
      const A *mean = columns.mean + column, *rstd = columns.rstd + column;
      for_rows(row, rows, column, n, [&](int64_t, const A* in, const A* grad) {
        for (int64_t j = 0; j < n; ++j) w[j] += grad[j] * ((in[j] - mean[j]) * rstd[j]);
        for (int64_t j = 0; j < n; ++j) b[j] += grad[j];
      });
      std::copy(w, w + n, dws + chunk * D + column);
      std::copy(b, b + n, dbs + chunk * D + column);
    });
    for (int64_t j = 0; j < D; ++j) {
      double w = 0, b = 0;
      for (int64_t k = 0; k < chunks; ++k) {
        w += static_cast<double>(dws[k * D + j]);
        b += static_cast<double>(dbs[k * D + j]);
      }
      dw[j] = static_cast<A>(w);
      db[j] = static_cast<A>(b);
    }
  }

  /// dw and db are those of `sums`; zeros for constant statistics.
  void write_dx(const A* dw, const A* db, T* dx) const {
    const A inverse = A(1) / static_cast<A>(N);
    for_each_patch(N, D, [&](int64_t, int64_t row, int64_t rows, int64_t column, int64_t n) {
      A out[kBand], a[kBand], b[kBand];
      const A *mean = columns.mean + column, *scale = columns.scale + column;
      for (int64_t j = 0; j < n; ++j) {
        a[j] = db[column + j] * inverse;
        b[j] = dw[column + j] * inverse * columns.rstd[column + j];
      }
      for_rows(row, rows, column, n, [&](int64_t i, const A* in, const A* grad) {
        for (int64_t j = 0; j < n; ++j)
          out[j] = scale[j] * (grad[j] - a[j] - (in[j] - mean[j]) * b[j]);
        convert(out, n, dx + i * D + column);
      });
    });
  }
};

}  // namespace

void moments(const Tensor& x, Tensor& mean, Tensor& var) {
  const int64_t N = x.dim(0), D = x.dim(1), chunks = ceil_div(N, kChunk);
  visit_float(x.dtype(), [&]<class T>(Type<T>) {
    using A = acc_t<T>;
    static thread_local Scratch scratch;
    A *means = scratch.get<A>(2 * chunks * D), *m2 = means + chunks * D;
    const T* px = x.data<T>();
    for_each_patch(N, D, [&](int64_t chunk, int64_t row, int64_t rows, int64_t column, int64_t n) {
      const int64_t at = chunk * D + column;
      patch_moments(px + row * D + column, rows, D, n, means + at, m2 + at);
    });
    for (int64_t j = 0; j < D; ++j)
      std::tie(mean.data<A>()[j], var.data<A>()[j]) = merge_moments(means + j, m2 + j, N, D);
  });
}

void batch_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& mean,
                const Tensor& rstd, bool relu, Tensor& y) {
  const int64_t N = x.dim(0), D = x.dim(1);
  visit_float(x.dtype(), [&]<class T>(Type<T>) {
    using A = acc_t<T>;
    static thread_local Scratch room_columns;
    const Columns<T> of(weight, bias, mean, rstd, room_columns);
    const T* px = x.data<T>();
    T* py = y.data<T>();
    const A least = relu ? A(0) : -std::numeric_limits<A>::infinity();
    for_each_row<A>(N, D, 2, [&](int64_t i, A* room) {
      const A* in = widen(px + i * D, D, room);
      A* __restrict out = landing(py + i * D, room + D);
      for (int64_t j = 0; j < D; ++j) {
        const A v = (in[j] - of.mean[j]) * of.scale[j] + of.bias[j];
        out[j] = v < least ? least : v;  // keeps NaN
      }
      narrow(out, D, py + i * D);
    });
  });
}

void batch_norm_grad(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& mean,
                     const Tensor& rstd, const Tensor& g, bool relu, bool of_batch, Tensor& dx,
                     Tensor& dweight, Tensor& dbias) {
  const int64_t N = x.dim(0), D = x.dim(1);
  visit_float(x.dtype(), [&]<class T>(Type<T>) {
    using A = acc_t<T>;
    static thread_local Scratch room_columns, room_sums;
    const BatchNormGrad<T> grad{
        N, D, x.data<T>(), g.data<T>(), Columns<T>(weight, bias, mean, rstd, room_columns), relu};
    A *dw = room_sums.get<A>(2 * D), *db = dw + D;
    grad.sums(dw, db);
    if (dweight.defined()) convert(dw, D, dweight.data<T>());
    if (dbias.defined()) convert(db, D, dbias.data<T>());
    if (!dx.defined()) return;
    if (!of_batch) std::fill(dw, dw + 2 * D, A(0));
    grad.write_dx(dw, db, dx.data<T>());
  });
}

}  // namespace diptych::cpu
