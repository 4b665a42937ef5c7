// cuda/batch_norm.cu — batch normalisation (Ioffe and Szegedy, 2015) of the columns of x (N, D),
// with a ReLU behind it if wanted.
//
//   mean = Σ x / N,  var = Σ (x - mean)² / N,  y = (x - mean) / √(var + eps) w + b
//
// Memory is read once for both moments: threads keep a mean and the squares around it, and merge.
#include "cuda/batch_norm.cuh"
#include "tensor/kernels.h"

namespace diptych::cuda {
namespace {

/// n values of one column: their mean and Σ (x - mean)².
template <class A, int kPack>
struct Moments {
  A n;
  Pack<A, kPack> mean, squares;
};

/// Those of two sets together (Chan, Golub and LeVeque, 1979):
///   mean = mean_a + off n_b / n,  Σ = Σ_a + Σ_b + off² n_a n_b / n,  off = mean_b - mean_a
struct Merge {
  template <class A, int kPack>
  __device__ Moments<A, kPack> operator()(const Moments<A, kPack>& a,
                                          const Moments<A, kPack>& b) const {
    Moments<A, kPack> all{a.n + b.n, {}, {}};
    const A share = all.n > A(0) ? b.n / all.n : A(0);
    DIPTYCH_UNROLL
    for (int i = 0; i < kPack; ++i) {
      const A off = b.mean.at[i] - a.mean.at[i];
      all.mean.at[i] = a.mean.at[i] + off * share;
      all.squares.at[i] = a.squares.at[i] + b.squares.at[i] + off * off * (a.n * share);
    }
    return all;
  }
};

/// Of up to four rows, i, i + step, … below end.
template <int kPack, class T>
__device__ Moments<acc_t<T>, kPack> moments_of_rows(const T* x, int64_t D, const Walk<kPack>& walk,
                                                    int64_t i) {
  using A = acc_t<T>;
  constexpr int kRows = 4;
  Pack<A, kPack> in[kRows] = {};
  Moments<A, kPack> of{};
  DIPTYCH_UNROLL
  for (int r = 0; r < kRows; ++r) {
    const int64_t row = i + r * walk.step;
    if (row < walk.end) in[r] = load_wide<kPack>(x + row * D + walk.column);
    if (row < walk.end) of.n += A(1);
    of.mean = of.mean + in[r];
  }
  const A inverse = A(1) / of.n;
  of.mean = map<A>([inverse](A sum) { return sum * inverse; }, of.mean);
  const auto square = [](A s, A v, A m) { return s + (v - m) * (v - m); };
  DIPTYCH_UNROLL
  for (int r = 0; r < kRows; ++r)
    if (i + r * walk.step < walk.end) of.squares = map<A>(square, of.squares, in[r], of.mean);
  return of;
}

/// chunks[k, 0, j], chunks[k, 1, j]: mean and Σ (x - mean)² of column j over the rows of chunk k.
template <class T, int kPack>
__global__ void moments_of_chunks(const T* x, Tiling tiling, acc_t<T>* chunks) {
  using Of = Moments<acc_t<T>, kPack>;
  DIPTYCH_SHARED(Of[kBlock], room);
  const Walk<kPack> walk(tiling);
  Of all{};
  for (int64_t i = walk.begin; i < walk.end; i += 4 * walk.step)
    all = Merge{}(all, moments_of_rows<kPack>(x, tiling.D, walk, i));
  all = fold_column(all, Merge{}, room, tiling.across);
  store_chunk<acc_t<T>>(walk, tiling, {all.mean, all.squares}, chunks);
}

/// One column from its chunks of n_k rows:
///   mean = Σ n_k mean_k / N,  var = (Σ squares_k + n_k (mean_k - mean)²) / N
template <class A>
__global__ void merge_chunks(const A* chunks, int64_t count, Tiling tiling, A* mean, A* var) {
  DIPTYCH_SHARED(double[kBlock], room);
  const int64_t j = int64_t{blockIdx.x} * kMerged + threadIdx.x % kMerged, D = tiling.D;
  const auto average = [&](auto term) {
    double sum = 0;
    for (int64_t k = threadIdx.x / kMerged; j < D && k < count; k += kBlock / kMerged)
      sum += term(static_cast<double>(tiling.end_of(k) - k * tiling.length),
                  static_cast<double>(chunks[2 * k * D + j]), chunks[(2 * k + 1) * D + j]);
    return fold_column(sum, Sum{}, room, kMerged) / static_cast<double>(tiling.N);
  };
  const double m = average([](double n, double mean_k, A) { return n * mean_k; });
  const double v = average([m](double n, double mean_k, A squares) {
    return static_cast<double>(squares) + n * (mean_k - m) * (mean_k - m);
  });
  if (threadIdx.x >= kMerged || j >= D) return;
  mean[j] = static_cast<A>(m);
  var[j] = static_cast<A>(v);
}

template <class A>
__global__ void follow_batch(const A* batch, A factor, A momentum, A keep, A* running, int64_t D) {
  const int64_t j = thread_number();
  if (j < D) running[j] = running[j] * keep + batch[j] * factor * momentum;
}

/// running ← (1 - momentum) running + momentum factor batch
template <class A>
void follow(const Tensor& batch, double factor, double momentum, Tensor& running) {
  launch("track_moments", follow_batch<A>, grid_for(batch.numel()), batch.data<A>(), factor,
         momentum, 1 - momentum, running.data<A>(), batch.numel());
}

template <class T, int kPack>
__global__ void batch_norm_columns(BatchNorm<T> of, Tiling tiling, T* y) {
  using A = acc_t<T>;
  const Walk<kPack> walk(tiling);
  if (walk.begin >= walk.end) return;
  const Columns<T, kPack> columns(of, walk.column);
  const A least = of.relu ? A(0) : -std::numeric_limits<A>::infinity();
  walk.each_row([&](int64_t i) {
    const int64_t at = i * of.D + walk.column;
    const auto out = columns.affine(load_wide<kPack>(of.x + at));
    store_narrow(map<A>([least](A v) { return v < least ? least : v; }, out), y + at);  // keeps NaN
  });
}

}  // namespace

void moments(const Tensor& x, Tensor& mean, Tensor& var) {
  const int64_t N = x.dim(0), D = x.dim(1);
  visit_float(x.dtype(), [&]<class T>(Type<T>) {
    using A = acc_t<T>;
    const T* px = x.data<T>();
    const auto run = [&]<int kPack>(std::integral_constant<int, kPack>) {
      const Tiling tiling(N, D, kPack);
      const Tensor chunks = empty({tiling.chunks(), 2, D}, dtype_of<A>(), Device::cuda);
      A* pc = chunks.data<A>();
      launch("moments", moments_of_chunks<T, kPack>, tiling.grid(), px, tiling, pc);
      launch("moments", merge_chunks<A>, Grid{ceil_div(D, kMerged)}, pc, tiling.chunks(), tiling,
             mean.data<A>(), var.data<A>());
    };
    visit_pack<T>(D, run, px);
  });
}

void track_moments(const Tensor& mean, const Tensor& var, int64_t N, double momentum,
                   Tensor& running_mean, Tensor& running_var, Tensor& count) {
  const auto rows = static_cast<double>(N);
  const auto both = [&]<class A>(Type<A>) {
    follow<A>(mean, 1, momentum, running_mean);
    follow<A>(var, rows / (rows - 1), momentum, running_var);
  };
  mean.dtype() == DType::f64 ? both(Type<double>{}) : both(Type<float>{});
  ++*count.data<int64_t>();
}

void batch_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& mean,
                const Tensor& var, double eps, bool relu, Tensor& y) {
  visit_float(x.dtype(), [&]<class T>(Type<T>) {
    const BatchNorm<T> of(x, weight, bias, mean, var, eps, relu);
    T* py = y.data<T>();
    const auto run = [&]<int kPack>(std::integral_constant<int, kPack>) {
      const Tiling tiling(of.N, of.D, kPack);
      launch("batch_norm", batch_norm_columns<T, kPack>, tiling.grid(), of, tiling, py);
    };
    visit_pack<T>(of.D, run, of.x, py);
  });
}

}  // namespace diptych::cuda
