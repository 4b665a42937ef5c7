// tensor/cpu/batch_norm.cpp — batch normalisation (Ioffe and Szegedy, 2015) of the columns of x
// (N, D), with a ReLU behind it if wanted.
//
//   rstd = 1 / √(var + eps)
//   x̂ = (x - mean) rstd,  y = x̂ w + b          g ← g where y > 0 (relu), dw = Σ g x̂, db = Σ g
//   dx = rstd w (g - db / N - x̂ dw / N)         if mean and rstd are those of x, else rstd w g
//
// Columns are added up in chunks of a fixed number of rows, and the chunks in order: in f64, since
// there may be thousands of them.
#include <array>
#include <cmath>

#include "tensor/cpu/gemm_split.h"
#include "tensor/cpu/row_groups.h"
#include "tensor/cpu/rows.h"
#include "tensor/kernels.h"

namespace diptych::cpu {
namespace {

constexpr int64_t kChunk = 128;  // rows

/// A chunk of rows, of a band of columns.
struct Patch {
  int64_t chunk, row, rows, column, columns;

  /// Calls f(rows of the group as a constant, first row, first column, columns ≤ kLanes).
  template <class A, class F>
  void for_each_group(const F& f) const {
    diptych::cpu::for_each_group(row, row + rows, [&](auto group, int64_t i) {
      for_each_vector<A>(columns, [&](int64_t j, int64_t n) { f(group, i, column + j, n); });
    });
  }
};

/// Calls f(patch) for every chunk of every band.
template <class F>
void for_each_patch(int64_t N, int64_t D, const F& f) {
  constexpr int64_t kBand = 2048;
  const int64_t bands = ceil_div(D, kBand), work = kChunk * std::clamp<int64_t>(D, 1, kBand);
  parallel_for(ceil_div(N, kChunk) * bands, ceil_div(8192, work), [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t chunk = task / bands, row = chunk * kChunk, column = task % bands * kBand;
      f(Patch{chunk, row, std::min(kChunk, N - row), column, std::min(kBand, D - column)});
    }
  });
}

/// mean[j], m2[j]: mean and Σ (x - mean)² of column j over the rows of a patch; x has row stride D.
/// Groups are merged as in merge_moments.
template <class T>
void patch_moments(const T* x, int64_t D, const Patch& patch, acc_t<T>* mean, acc_t<T>* m2) {
  using A = acc_t<T>;
  std::fill(mean + patch.column, mean + patch.column + patch.columns, A(0));
  std::fill(m2 + patch.column, m2 + patch.column + patch.columns, A(0));
  patch.for_each_group<A>([&](auto group, int64_t i, int64_t j, int64_t n) {
    constexpr int kRows = group;
    const A before = static_cast<A>(i - patch.row), share = kRows / (before + kRows);
    vec<A> in[kRows], sum{}, squares{};
    for (int r = 0; r < kRows; ++r) sum += in[r] = load_wide(x + (i + r) * D + j, n);
    sum *= A(1) / kRows;
    for (int r = 0; r < kRows; ++r) squares += (in[r] - sum) * (in[r] - sum);
    const vec<A> old = load_wide(mean + j, n), off = sum - old;
    store_narrow(mean + j, old + off * share, n);
    store_narrow(m2 + j, load_wide(m2 + j, n) + squares + off * off * (before * share), n);
  });
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

  Columns(const Tensor& weight, const Tensor& b, const Tensor& m, const Tensor& var, double eps,
          Scratch& room)
      : mean(m.data<A>()), bias(b.data<A>()) {
    const int64_t D = weight.numel();
    const A* w = weight.data<A>();
    A *reciprocal = room.get<A>(2 * D), *product = reciprocal + D;
    for (int64_t j = 0; j < D; ++j)
      reciprocal[j] = A(1) / std::sqrt(var.data<A>()[j] + static_cast<A>(eps));
    for (int64_t j = 0; j < D; ++j) product[j] = w[j] * reciprocal[j];
    rstd = reciprocal;
    scale = product;
  }

  const A *mean, *bias, *rstd, *scale;  // scale = weight rstd
};

template <class T>
struct BatchNormGrad {
  using A = acc_t<T>;

  int64_t N, D;
  const T *x, *g;
  Columns<T> columns;
  bool relu;

  /// Calls f(row, column, columns, x - mean, g) along a patch, g as it arrives at the sum: where
  /// the ReLU let x pass. The latter two are arrays, a vector for each row of a group.
  template <class F>
  void for_each_group(const Patch& patch, const F& f) const {
    patch.for_each_group<A>([&](auto group, int64_t i, int64_t j, int64_t n) {
      const vec<A> mean = load_wide(columns.mean + j, n), scale = load_wide(columns.scale + j, n),
                   bias = load_wide(columns.bias + j, n);
      std::array<vec<A>, group> centered, grad;
      for (size_t r = 0; r < group; ++r) {
        const int64_t at = (i + static_cast<int64_t>(r)) * D + j;
        centered[r] = load_wide(x + at, n) - mean;
        grad[r] = load_wide(g + at, n);
        if (relu) grad[r] = centered[r] * scale + bias > A(0) ? grad[r] : vec<A>{};
      }
      f(i, j, n, centered, grad);
    });
  }

  /// dw, db (D)
  void sums(A* dw, A* db) const {
    static thread_local Scratch scratch;
    const int64_t chunks = ceil_div(N, kChunk);
    A *dws = scratch.get<A>(2 * chunks * D), *dbs = dws + chunks * D;
    std::fill(dws, dws + 2 * chunks * D, A(0));
    for_each_patch(N, D, [&](const Patch& patch) {
      A *pw = dws + patch.chunk * D, *pb = dbs + patch.chunk * D;
      for_each_group(patch, [&](int64_t, int64_t j, int64_t n, auto& centered, auto& grad) {
        vec<A> w = load_wide(pw + j, n), b = load_wide(pb + j, n);
        for (size_t r = 0; r < grad.size(); ++r) {
          w += grad[r] * centered[r];
          b += grad[r];
        }
        store_narrow(pw + j, w, n);
        store_narrow(pb + j, b, n);
      });
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
    for_each_patch(N, D, [&](const Patch& patch) {
      for_each_group(patch, [&](int64_t i, int64_t j, int64_t n, auto& centered, auto& grad) {
        const vec<A> scale = load_wide(columns.scale + j, n), a = load_wide(db + j, n) * inverse,
                     b = load_wide(dw + j, n) * load_wide(columns.rstd + j, n) * inverse;
        for (size_t r = 0; r < grad.size(); ++r)
          store_narrow(dx + (i + static_cast<int64_t>(r)) * D + j,
                       scale * (grad[r] - a - centered[r] * b), n);
      });
    });
  }
};

/// running ← (1 - momentum) running + momentum factor batch. In loops of their own the products are
/// rounded before they are added.
template <class A>
void follow(const Tensor& batch, double factor, double momentum, Tensor& running) {
  static thread_local Scratch scratch;
  const int64_t D = batch.numel();
  const A* value = batch.data<A>();
  A *share = scratch.get<A>(D), *sum = running.data<A>();
  for (int64_t j = 0; j < D; ++j)
    share[j] = value[j] * static_cast<A>(factor) * static_cast<A>(momentum);
  for (int64_t j = 0; j < D; ++j) sum[j] *= static_cast<A>(1 - momentum);
  for (int64_t j = 0; j < D; ++j) sum[j] += share[j];
}

}  // namespace

void moments(const Tensor& x, Tensor& mean, Tensor& var) {
  const int64_t N = x.dim(0), D = x.dim(1), chunks = ceil_div(N, kChunk);
  visit_float(x.dtype(), [&]<class T>(Type<T>) {
    using A = acc_t<T>;
    static thread_local Scratch scratch;
    A *means = scratch.get<A>(2 * chunks * D), *m2 = means + chunks * D;
    const T* px = x.data<T>();
    for_each_patch(N, D, [&](const Patch& patch) {
      const int64_t at = patch.chunk * D;
      patch_moments(px, D, patch, means + at, m2 + at);
    });
    for (int64_t j = 0; j < D; ++j)
      std::tie(mean.data<A>()[j], var.data<A>()[j]) = merge_moments(means + j, m2 + j, N, D);
  });
}

void track_moments(const Tensor& mean, const Tensor& var, int64_t N, double momentum,
                   Tensor& running_mean, Tensor& running_var, Tensor& count) {
  const auto rows = static_cast<double>(N);
  if (mean.dtype() == DType::f64) {
    follow<double>(mean, 1, momentum, running_mean);
    follow<double>(var, rows / (rows - 1), momentum, running_var);
  } else {
    follow<float>(mean, 1, momentum, running_mean);
    follow<float>(var, rows / (rows - 1), momentum, running_var);
  }
  ++*count.data<int64_t>();
}

void batch_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& mean,
                const Tensor& var, double eps, bool relu, Tensor& y) {
  const int64_t N = x.dim(0), D = x.dim(1);
  visit_float(x.dtype(), [&]<class T>(Type<T>) {
    using A = acc_t<T>;
    static thread_local Scratch room_columns;
    const Columns<T> of(weight, bias, mean, var, eps, room_columns);
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
                     const Tensor& var, double eps, const Tensor& g, bool relu, bool of_batch,
                     Tensor& dx, Tensor& dweight, Tensor& dbias) {
  const int64_t N = x.dim(0), D = x.dim(1);
  visit_float(x.dtype(), [&]<class T>(Type<T>) {
    using A = acc_t<T>;
    static thread_local Scratch room_columns, room_sums;
    const BatchNormGrad<T> grad{
        N,   D, x.data<T>(), g.data<T>(), Columns<T>(weight, bias, mean, var, eps, room_columns),
        relu};
    A *dw = room_sums.get<A>(2 * D), *db = dw + D;
    grad.sums(dw, db);
    if (dweight.defined()) std::copy_n(dw, D, dweight.data<A>());
    if (dbias.defined()) std::copy_n(db, D, dbias.data<A>());
    if (!dx.defined()) return;
    if (!of_batch) std::fill(dw, dw + 2 * D, A(0));
    grad.write_dx(dw, db, dx.data<T>());
  });
}

}  // namespace diptych::cpu
