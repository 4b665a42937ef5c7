// tensor/cpu/gemm.cpp — matrix products: c = a b + bias (+ c), for any strides and any floats.
//
// The method is that of Goto and van de Geijn ("Anatomy of high-performance matrix multiplication",
// 2008) in the form of BLIS: blocks of a and b are copied ("packed") into the order in which the
// innermost kernel reads them, each sized for the cache it lives in, and the kernel keeps a small
// block of c in registers. Packing costs O(MK + KN) and makes strides, transpositions, broadcast
// axes and 16-bit types the same case. tensor/cpu/README.md climbs there from three plain loops.
//
//   for each kDepth of K                    the same cuts for any number of threads
//     for each kWidth of N
//       pack b (kDepth, kWidth)             shared, packed by all threads
//       each thread, for its part of c:
//         for each kHeight of M
//           pack a (kHeight, kDepth)        of the thread, unless its rows are contiguous
//           for each panel of b, each panel of a: tile_product
#include "tensor/cpu/gemm_micro.h"
#include "tensor/cpu/gemm_split.h"
#include "tensor/cpu/pack.h"
#include "tensor/cpu/scratch.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace diptych::cpu {
namespace {

constexpr int64_t kDepth = 768;
constexpr int64_t kHeight = kTileRows * 16;

template <class T>
struct Matrix {
  T* data;
  int64_t row, column;  // strides
};

/// One product of two matrices.
template <class T>
class Product {
 public:
  using A = acc_t<T>;
  static constexpr bool kNative = std::is_same_v<T, A>;
  static constexpr int64_t kColumns = kTileColumns<A>;
  static constexpr int64_t kWidth = kColumns * 64;

  Product(int64_t m, int64_t n, int64_t k, const A* bias, bool accumulate)
      : m_(m), n_(n), k_(k), bias_(bias), accumulate_(accumulate) {}

  void run(Matrix<const T> a, Matrix<const T> b, T* c) const {
    static thread_local Scratch sums;
    const int64_t blocks = std::max<int64_t>(1, ceil_div(k_, kDepth));
    const int64_t depth = ceil_div(k_, blocks);
    Step step{a, b, c, partial(c, sums, blocks), 0, 0, 0, 0, true, true};
    for (int64_t k = 0; k < blocks; ++k) {
      step.k0 = k * depth;
      step.depth = std::min(depth, k_ - step.k0);
      step.first = k == 0;
      step.last = k == blocks - 1;
      for (step.n0 = 0; step.n0 < n_; step.n0 += kWidth) {
        step.width = std::min(kWidth, n_ - step.n0);
        multiply(step);
      }
    }
  }

 private:
  /// One pass over c: (m, depth) × (depth, width) is added to columns n0 … of c.
  struct Step {
    Matrix<const T> a, b;
    T* c;
    Matrix<A> partial;  // sums between passes: c itself, or f32 for the 16-bit types
    int64_t k0, depth, n0, width;
    bool first, last;
  };

  Matrix<A> partial(T* c, Scratch& sums, int64_t blocks) const {
    if constexpr (kNative) {
      return {c, n_, 1};
    } else {
      const int64_t pitch = ceil_div(n_, kLanes<A>) * kLanes<A>;
      return {blocks > 1 ? sums.get<A>(m_ * pitch) : nullptr, pitch, 1};
    }
  }

  void multiply(const Step& step) const {
    static thread_local Scratch packed_b;
    const int64_t panels_n = ceil_div(step.width, kColumns), panels_m = ceil_div(m_, kTileRows);
    A* b = packed_b.get<A>(panels_n * kColumns * step.depth);
    const int64_t panel = kColumns * step.depth;
    parallel_for(panels_n, std::max<int64_t>(1, 16384 / (panel + 1)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t q = begin; q < end; ++q) pack_b(step, q, b + q * panel);
                 });
    const Grid grid(useful_threads(m_ * step.width * step.depth), panels_m, panels_n);
    parallel_for(grid.down * grid.across, 1, [&](int64_t begin, int64_t end) {
      for (int64_t part = begin; part < end; ++part) {
        const int64_t i = part / grid.across, j = part % grid.across;
        multiply_part(step, b, panels_m * i / grid.down, panels_m * (i + 1) / grid.down,
                      panels_n * j / grid.across, panels_n * (j + 1) / grid.across);
      }
    });
  }

  static int64_t columns_of(const Step& step, int64_t q) {
    return std::min(kColumns, step.width - q * kColumns);
  }
  static int64_t vectors_of(const Step& step, int64_t q) {
    return ceil_div(columns_of(step, q), kLanes<A>);
  }
  int64_t rows_of(int64_t p) const { return std::min<int64_t>(kTileRows, m_ - p * kTileRows); }

  void pack_b(const Step& step, int64_t q, A* panel) const {
    const Matrix<const T>& b = step.b;
    pack_panel(b.data + step.k0 * b.row + (step.n0 + q * kColumns) * b.column, b.row, b.column,
               step.depth, columns_of(step, q), vectors_of(step, q) * kLanes<A>, panel);
  }

  void pack_a(const Step& step, int64_t p, A* panel) const {
    const Matrix<const T>& a = step.a;
    pack_panel(a.data + p * kTileRows * a.row + step.k0 * a.column, a.column, a.row, step.depth,
               rows_of(p), rows_of(p), panel);
  }

  /// Row panels [p0, p1) times column panels [q0, q1).
  void multiply_part(const Step& step, const A* b, int64_t p0, int64_t p1, int64_t q0,
                     int64_t q1) const {
    static thread_local Scratch packed_a;
    constexpr int64_t kPanels = kHeight / kTileRows;
    const int64_t panel = kTileRows * step.depth;
    A* a = packed_a.get<A>(kPanels * panel);
    for (int64_t top = p0; top < p1; top += kPanels) {
      const int64_t bottom = std::min(p1, top + kPanels);
      if (!reads_in_place(step))
        for (int64_t p = top; p < bottom; ++p) pack_a(step, p, a + (p - top) * panel);
      for (int64_t q = q0; q < q1; ++q)
        for (int64_t p = top; p < bottom; ++p)
          multiply_tile(step, p, q, rows_at(step, p, a + (p - top) * panel),
                        b + q * kColumns * step.depth);
    }
  }

  /// The kernel reads a by single values: rows that are contiguous need no packing.
  static bool reads_in_place(const Step& step) { return kNative && step.a.column == 1; }

  Matrix<const A> rows_at(const Step& step, int64_t p, const A* packed) const {
    if constexpr (kNative) {
      const Matrix<const T>& a = step.a;
      if (reads_in_place(step)) return {a.data + p * kTileRows * a.row + step.k0, a.row, 1};
    }
    return {packed, 1, rows_of(p)};
  }

  void multiply_tile(const Step& step, int64_t p, int64_t q, const Matrix<const A>& a,
                     const A* b) const {
    const int64_t rows = rows_of(p), columns = columns_of(step, q), vectors = vectors_of(step, q);
    const int64_t row = p * kTileRows, column = step.n0 + q * kColumns;
    const auto product = tile_product_of<A>(rows, vectors);
    const auto compute = [&](const TileOut<A>& out) {
      product(step.depth, a.data, a.row, a.column, b, vectors * kLanes<A>, out);
    };
    A* sums = step.partial.data + row * step.partial.row + column;
    if constexpr (kNative) {
      const bool add = accumulate_ || !step.first;
      compute({sums, n_, bias_ && step.first ? bias_ + column : nullptr, add ? sums : nullptr,
               columns - (vectors - 1) * kLanes<A>});
    } else {
      const A* before = step.first ? nullptr : sums;
      if (!step.last) return compute({sums, step.partial.row, nullptr, before});
      alignas(64) A tile[kTileRows * kColumns];
      compute({tile, kColumns, nullptr, nullptr});
      for (int64_t r = 0; r < rows; ++r)
        round_row(tile + r * kColumns, before ? before + r * step.partial.row : nullptr, columns,
                  column, step.c + (row + r) * n_ + column);
    }
  }

  /// The last pass of a 16-bit product: sums of before, bias and c are added in f32, rounded once.
  void round_row(A* __restrict tile, const A* sums, int64_t n, int64_t column, T* c) const {
    if (bias_)
      for (int64_t j = 0; j < n; ++j) tile[j] += bias_[column + j];
    if (sums)
      for (int64_t j = 0; j < n; ++j) tile[j] += sums[j];
    if (accumulate_)
      for (int64_t j = 0; j < n; ++j) tile[j] += static_cast<A>(c[j]);
    convert(tile, n, c);
  }

  int64_t m_, n_, k_;
  const A* bias_;
  bool accumulate_;
};

/// The batch axes of a product: how far a and b move from one matrix to the next.
struct Batch {
  Batch(const Tensor& a, const Tensor& b, const Tensor& c) {
    for (int axis = 0; axis < c.rank() - 2; ++axis) {
      extent.push_back(c.shape()[axis]);
      step_a.push_back(a.strides()[axis]);
      step_b.push_back(b.strides()[axis]);
    }
  }

  /// If one b serves the whole batch and the rows of a continue evenly from matrix to matrix, the
  /// batch is one tall matrix.
  bool is_tall_matrix(int64_t m, int64_t row) const {
    int64_t expected = m * row;
    for (int axis = extent.rank() - 1; axis >= 0; --axis) {
      if (extent[axis] != 1 && (step_b[axis] != 0 || step_a[axis] != expected)) return false;
      expected *= extent[axis];
    }
    return true;
  }

  std::array<int64_t, 2> offsets(int64_t i) const {
    std::array<int64_t, 2> at{};
    for (int axis = extent.rank() - 1; axis >= 0; --axis) {
      const int64_t j = i % extent[axis];
      i /= extent[axis];
      at[0] += j * step_a[axis];
      at[1] += j * step_b[axis];
    }
    return at;
  }

  Shape extent, step_a, step_b;
};

template <class T>
void matmul_of(const Tensor& a, const Tensor& b, const acc_t<T>* bias, bool accumulate, Tensor& c) {
  int64_t m = c.dim(-2), n = c.dim(-1), k = a.dim(-1);
  const Batch batch(a, b, c);
  int64_t products = batch.extent.numel();
  const Shape &sa = a.strides(), &sb = b.strides();
  const Matrix<const T> first_a{a.data<T>(), sa[a.rank() - 2], sa[a.rank() - 1]};
  const Matrix<const T> first_b{b.data<T>(), sb[b.rank() - 2], sb[b.rank() - 1]};
  if (batch.is_tall_matrix(m, first_a.row)) {
    m *= products;
    products = 1;
  }
  const Product<T> product(m, n, k, bias, accumulate);
  const auto run = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto at = products == 1 ? std::array<int64_t, 2>{} : batch.offsets(i);
      product.run({first_a.data + at[0], first_a.row, first_a.column},
                  {first_b.data + at[1], first_b.row, first_b.column}, c.data<T>() + i * m * n);
    }
  };
  const int64_t work = m * n * std::max<int64_t>(1, k);
  if (products > 1 && split_by_product(products, work)) {
    parallel_for(products, std::max<int64_t>(1, (int64_t{1} << 17) / work), run);
  } else {
    run(0, products);
  }
}

}  // namespace

void matmul(const Tensor& a, const Tensor& b, const Tensor& bias, bool accumulate, Tensor& c) {
  if (c.numel() == 0) return;
  visit_float(c.dtype(), [&]<class T>(Type<T>) {
    using A = acc_t<T>;
    static thread_local Scratch scratch;
    const int64_t n = c.dim(-1);
    const A* wide = bias.defined() ? widen(bias.data<T>(), n, scratch.get<A>(n)) : nullptr;
    matmul_of<T>(a, b, wide, accumulate, c);
  });
}

}  // namespace diptych::cpu
