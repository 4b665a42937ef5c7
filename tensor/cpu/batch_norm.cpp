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
constexpr int kVectors = 4;      // columns whose sums stay in registers while the rows run

template <class A>
constexpr int64_t kBand = kVectors* kLanes<A>;

/// A row of a band of columns, in registers.
template <class A>
struct Band {
  vec<A> v[kVectors] = {};

  Band() = default;
  /// The first n values of p, converted; zeros behind them.
  template <class T>
  Band(const T* p, int64_t n) {
    constexpr int64_t kStep = kLanes<A>;
    for (int i = 0; i < kVectors && i * kStep < n; ++i) {
      if constexpr (std::is_same_v<T, A>) {
        v[i] =
            n - i * kStep >= kStep ? load(p + i * kStep) : load_some(p + i * kStep, n - i * kStep);
      } else {
        A wide[kStep] = {};
        convert(p + i * kStep, std::min(kStep, n - i * kStep), wide);
        v[i] = load(wide);
      }
    }
  }

  template <class T>
  void write(T* p, int64_t n) const {
    if constexpr (std::is_same_v<T, A>) {
      if (n == kBand<A>) {
        for (int i = 0; i < kVectors; ++i) store(p + i * kLanes<A>, v[i]);
        return;
      }
    }
    A out[kBand<A>];
    for (int i = 0; i < kVectors; ++i) store(out + i * kLanes<A>, v[i]);
    convert(out, n, p);
  }
};

/// Calls f(chunk, first row, rows, first column, columns) for every chunk of every band.
template <class A, class F>
void for_each_patch(int64_t N, int64_t D, const F& f) {
  const int64_t bands = ceil_div(D, kBand<A>);
  parallel_for(ceil_div(N, kChunk) * bands, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t chunk = task / bands, row = chunk * kChunk, column = task % bands * kBand<A>;
      f(chunk, row, std::min(kChunk, N - row), column, std::min(kBand<A>, D - column));
    }
  });
}

/// mean[j], m2[j]: mean and Σ (x - mean)² of column j over some rows; x has row stride D.
template <class T>
void patch_moments(const T* x, int64_t rows, int64_t D, int64_t columns, acc_t<T>* mean,
                   acc_t<T>* m2) {
  using A = acc_t<T>;
  Band<A> sum, squares;
  for (int64_t i = 0; i < rows; ++i) {
    const Band<A> in(x + i * D, columns);
    for (int k = 0; k < kVectors; ++k) sum.v[k] += in.v[k];
  }
  for (vec<A>& v : sum.v) v /= static_cast<A>(rows);
  for (int64_t i = 0; i < rows; ++i) {
    const Band<A> in(x + i * D, columns);
    for (int k = 0; k < kVectors; ++k) squares.v[k] += (in.v[k] - sum.v[k]) * (in.v[k] - sum.v[k]);
  }
  sum.write(mean, columns);
  squares.write(m2, columns);
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

template <class T>
struct BatchNormGrad {
  using A = acc_t<T>;

  int64_t N, D;
  const T *x, *g;
  Columns<T> columns;
  bool relu;

  /// Calls f(row, x - mean, g) for some rows of a band, g as it arrives at the sum: where the ReLU
  /// let x pass.
  template <class F>
  void for_rows(int64_t row, int64_t rows, int64_t column, int64_t n, const F& f) const {
    const Band<A> mean(columns.mean + column, n), scale(columns.scale + column, n),
        bias(columns.bias + column, n);
    for (int64_t i = row; i < row + rows; ++i) {
      Band<A> in(x + i * D + column, n), grad(g + i * D + column, n);
      for (int k = 0; k < kVectors; ++k) {
        in.v[k] -= mean.v[k];
        if (relu) grad.v[k] = in.v[k] * scale.v[k] + bias.v[k] > A(0) ? grad.v[k] : vec<A>{};
      }
      f(i, in, grad);
    }
  }

  /// dw, db (D)
  void sums(A* dw, A* db) const {
    static thread_local Scratch scratch;
    const int64_t chunks = ceil_div(N, kChunk);
    A *dws = scratch.get<A>(2 * chunks * D), *dbs = dws + chunks * D;
    for_each_patch<A>(N, D,
                      [&](int64_t chunk, int64_t row, int64_t rows, int64_t column, int64_t n) {
                        Band<A> w, b;
                        for_rows(row, rows, column, n,
                                 [&](int64_t, const Band<A>& centered, const Band<A>& grad) {
                                   for (int k = 0; k < kVectors; ++k) {
                                     w.v[k] += grad.v[k] * centered.v[k];
                                     b.v[k] += grad.v[k];
                                   }
                                 });
                        w.write(dws + chunk * D + column, n);
                        b.write(dbs + chunk * D + column, n);
                      });
    for (int64_t j = 0; j < D; ++j) {
      double w = 0, b = 0;
      for (int64_t k = 0; k < chunks; ++k) {
        w += static_cast<double>(dws[k * D + j]);
        b += static_cast<double>(dbs[k * D + j]);
      }
      dw[j] = static_cast<A>(w) * columns.rstd[j];
      db[j] = static_cast<A>(b);
    }
  }

  /// dw and db are those of `sums`; zeros for constant statistics.
  void write_dx(const A* dw, const A* db, T* dx) const {
    const A inverse = A(1) / static_cast<A>(N);
    for_each_patch<A>(N, D, [&](int64_t, int64_t row, int64_t rows, int64_t column, int64_t n) {
      const Band<A> rstd(columns.rstd + column, n), scale(columns.scale + column, n);
      Band<A> a(db + column, n), b(dw + column, n), out;
      for (int k = 0; k < kVectors; ++k) {
        a.v[k] *= inverse;
        b.v[k] *= inverse * rstd.v[k];
      }
      for_rows(row, rows, column, n, [&](int64_t i, const Band<A>& centered, const Band<A>& grad) {
        for (int k = 0; k < kVectors; ++k)
          out.v[k] = scale.v[k] * (grad.v[k] - a.v[k] - centered.v[k] * b.v[k]);
        out.write(dx + i * D + column, n);
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
    for_each_patch<A>(N, D,
                      [&](int64_t chunk, int64_t row, int64_t rows, int64_t column, int64_t n) {
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
