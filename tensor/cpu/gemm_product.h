// tensor/cpu/gemm_product.h — one product of two matrices, c = f(a b + bias + add), for any strides
// and any floats.
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
//         for each kRowPanels tiles of M
//           pack a (…, kDepth)              of the thread, unless it can be read in place
//           for each panel of b, each panel of a: tile_product
//
// A small b every thread packs for itself, and the gradient of a weight is summed in two halves of
// K: packing twice and adding once more cost less than fetching from another core's cache.
//
// If M is at most kRowPanels tiles, every panel of b is used once: the thread that needs it packs
// it, into memory that stays in its second-level cache, or reads it in place if there is next to no
// reuse.
#pragma once

#include "tensor/cpu/gemm_micro.h"
#include "tensor/cpu/gemm_operands.h"
#include "tensor/cpu/gemm_split.h"
#include "tensor/cpu/pack.h"
#include "tensor/cpu/scratch.h"

namespace diptych::cpu {

template <class T>
class Product {
 public:
  using A = acc_t<T>;

  Product(int64_t m, int64_t n, int64_t k, const ProductEnd<T>& end)
      : m_(m), n_(n), k_(k), end_(end) {}

  /// The product of one a and b; `shift` elements into c and into what is added.
  void run(Matrix<const T> a, Matrix<const T> b, T* c, int64_t shift) const {
    if (is_halved(a, b)) return run_halves(a, b, c + shift);
    static thread_local Scratch sums;
    const Passes passes(0, k_);
    const T* add = end_.add ? end_.add + shift : nullptr;
    Step step{a, b, c + shift, add, partial(c + shift, sums, passes.count), end_.row_sums, 0, 0,
              0, 0, true,      true};
    for (int64_t pass = 0; pass < passes.count; ++pass) {
      passes.select(pass, step);
      for (step.n0 = 0; step.n0 < n_; step.n0 += kWidth) {
        step.width = std::min(kWidth, n_ - step.n0);
        multiply(step);
      }
    }
  }

 private:
  static constexpr bool kNative = std::is_same_v<T, A>;
  static constexpr int64_t kRowPanels = 16, kDepth = kPassDepth;
  static constexpr int64_t kColumns = kTileColumns<A>, kWidth = kColumns * 64;
  static constexpr int64_t kGroup = 4;  // panels of b that a thread packs for itself at a time

  /// One pass over c: (m, depth) × (depth, width) is added to columns n0 … of c.
  struct Step {
    Matrix<const T> a, b;
    T* c;
    const T* add;
    Matrix<A> partial;  // sums between passes: c itself, or f32 for the 16-bit types
    A* row_sums;
    int64_t k0, depth, n0, width;
    bool first, last;
  };

  /// Terms [begin, end) of the sums in passes of at most kDepth, as even as possible.
  struct Passes {
    Passes(int64_t begin_, int64_t end_)
        : begin(begin_),
          end(end_),
          count(std::max<int64_t>(1, ceil_div(end - begin, kDepth))),
          depth(ceil_div(end - begin, count)) {}

    void select(int64_t pass, Step& step) const {
      step.k0 = begin + pass * depth;
      step.depth = std::min(depth, end - step.k0);
      step.first = pass == 0;
      step.last = pass == count - 1;
    }

    int64_t begin, end, count, depth;
  };

  /// The gradient of a weight, gᵀ x, sums over the rows of two tall matrices. Threads have computed
  /// half of these rows each, and may be far apart: each sums over its half, and what they exchange
  /// is c, not g and x. Whether this is done depends on the product alone.
  bool is_halved(const Matrix<const T>& a, const Matrix<const T>& b) const {
    constexpr int64_t kTall = 512, kMost = int64_t{1} << 18;
    const bool plain = !end_.bias && !end_.add && !end_.f;
    return kNative && plain && a.row == 1 && b.column == 1 && k_ >= kTall && n_ <= kWidth &&
           m_ * n_ <= kMost;
  }

  void run_halves(const Matrix<const T>& a, const Matrix<const T>& b, T* c) const {
    if constexpr (kNative) {
      static thread_local Scratch scratch;
      T *second = scratch.get<T>(m_ * n_ + m_), *second_sums = second + m_ * n_;
      const int64_t down = ceil_div(m_, kTileRows), half = ceil_div(k_, 2);
      const ColumnPanels<A> panels(n_);
      const Grid grid = Grid::even(ceil_div(useful_threads(m_ * n_ * k_), 2), down, panels.count);
      parallel_for(2 * grid.parts(), 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t h = i / grid.parts(), part = i % grid.parts();
          T* sum = h == 0 ? c : second;
          T* row_sums = h == 0 || !end_.row_sums ? end_.row_sums : second_sums;
          const Passes passes(h * half, std::min(k_, (h + 1) * half));
          Step step{a, b, sum, nullptr, {sum, n_, 1}, row_sums, 0, 0, 0, n_, true, true};
          for (int64_t pass = 0; pass < passes.count; ++pass) {
            passes.select(pass, step);
            multiply_part(step, nullptr, grid.rows(part, down), grid.columns(part, panels.count));
          }
        }
      });
      parallel_for(m_ * n_, 16384, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) c[i] += second[i];
      });
      for (int64_t i = 0; end_.row_sums && i < m_; ++i) end_.row_sums[i] += second_sums[i];
    }
  }

  Matrix<A> partial(T* c, Scratch& sums, int64_t passes) const {
    if constexpr (kNative) {
      return {c, n_, 1};
    } else {
      return {passes > 1 ? sums.get<A>(m_ * padded<A>(n_)) : nullptr, padded<A>(n_), 1};
    }
  }

  void multiply(const Step& step) const {
    const ColumnPanels<A> panels(step.width);
    const int64_t down = ceil_div(m_, kTileRows);
    const int64_t threads = useful_threads(m_ * step.width * step.depth);
    const bool thin = down <= kRowPanels && panels.count >= threads;
    const A* b = thin || packs_alone(step, threads) ? nullptr : packed_by_all(step, panels);
    const Grid grid = thin ? Grid{1, threads} : Grid::even(threads, down, panels.count);
    for_each_part(grid, down, panels.count,
                  [&](Range rows, Range columns) { multiply_part(step, b, rows, columns); });
  }

  /// Whether every thread packs the b it needs even though others pack the same: a small b is
  /// sooner copied twice than waited for.
  bool packs_alone(const Step& step, int64_t threads) const {
    constexpr int64_t kRowsEach = 512, kMost = int64_t{1} << 16;
    return m_ >= kRowsEach * threads && step.width * step.depth <= kMost;
  }

  const A* packed_by_all(const Step& step, const ColumnPanels<A>& panels) const {
    static thread_local Scratch scratch;
    A* b = scratch.get<A>(panels.vectors * kLanes<A> * step.depth);
    const int64_t grain = std::max<int64_t>(1, 16384 / (kColumns * step.depth + 1));
    parallel_for(panels.count, grain, [&](int64_t begin, int64_t end) {
      for (int64_t q = begin; q < end; ++q) pack_b(step, panels, q, b);
    });
    return b;
  }

  /// Panel q into its place in a buffer that begins with panel `first`.
  void pack_b(const Step& step, const ColumnPanels<A>& panels, int64_t q, A* buffer,
              int64_t first = 0) const {
    pack_panel(columns_at(step, panels, q), step.b.row, step.b.column, step.depth,
               panels.columns_of(q), panels.vectors_of(q) * kLanes<A>,
               buffer + (panels.begin(q) - panels.begin(first)) * step.depth);
  }

  const T* columns_at(const Step& step, const ColumnPanels<A>& panels, int64_t q) const {
    return step.b.data + step.k0 * step.b.row + (step.n0 + panels.begin(q)) * step.b.column;
  }

  int64_t rows_of(int64_t p) const { return std::min<int64_t>(kTileRows, m_ - p * kTileRows); }

  void pack_a(const Step& step, int64_t p, A* panel) const {
    const Matrix<const T>& a = step.a;
    pack_panel(a.data + p * kTileRows * a.row + step.k0 * a.column, a.column, a.row, step.depth,
               rows_of(p), rows_of(p), panel);
  }

  /// Row panels `down` times column panels `across`. b: packed, or null: then it is packed here,
  /// once; if the outer loop has a single round, a few panels at a time, which finds the rest of a
  /// cache line still there.
  void multiply_part(const Step& step, const A* b, Range down, Range across) const {
    static thread_local Scratch packed_a, packed_b;
    const int64_t panel = kTileRows * step.depth, all = across.end - across.begin;
    const int64_t group = b || down.end - down.begin > kRowPanels ? all : kGroup;
    const ColumnPanels<A> panels(step.width);
    A* a = a_in_place(step) ? nullptr : packed_a.get<A>(kRowPanels * panel);
    A* room = b ? nullptr : packed_b.get<A>(group * kColumns * step.depth);
    for (int64_t top = down.begin; top < down.end; top += kRowPanels) {
      const int64_t bottom = std::min(down.end, top + kRowPanels);
      for (int64_t p = top; a && p < bottom; ++p) pack_a(step, p, a + (p - top) * panel);
      const bool sums = step.row_sums && step.n0 == 0 && across.begin == 0;
      for (int64_t p = top; sums && p < bottom; ++p)
        sum_rows(rows_at(step, p, a + (p - top) * panel), rows_of(p), step.depth, step.first,
                 step.row_sums + p * kTileRows);
      for (int64_t left = across.begin; left < across.end; left += group) {
        const Range some{left, std::min(across.end, left + group)};
        for (int64_t q = some.begin; !b && top == down.begin && q < some.end; ++q)
          if (!b_in_place(step, panels, q)) pack_b(step, panels, q, room, some.begin);
        for (int64_t q = some.begin; q < some.end; ++q)
          for (int64_t p = top; p < bottom; ++p)
            multiply_tile(step, panels, p, q, rows_at(step, p, a + (p - top) * panel),
                          b ? packed_panel(step, panels, q, b, 0)
                            : own_panel(step, panels, q, room, some.begin));
      }
    }
  }

  /// The kernel reads a by single values: rows that are contiguous need no packing, nor do
  /// contiguous columns that serve two panels of b at most.
  static bool a_in_place(const Step& step) {
    const bool columns = step.a.row == 1 && step.width <= 2 * kColumns;
    return kNative && (step.a.column == 1 || columns);
  }

  Matrix<const A> rows_at(const Step& step, int64_t p, const A* packed) const {
    if constexpr (kNative) {
      const Matrix<const T>& a = step.a;
      if (a_in_place(step))
        return {a.data + p * kTileRows * a.row + step.k0 * a.column, a.row, a.column};
    }
    return {packed, 1, rows_of(p)};
  }

  /// Panel q in a buffer that begins with panel `first`.
  Matrix<const A> packed_panel(const Step& step, const ColumnPanels<A>& panels, int64_t q,
                               const A* b, int64_t first) const {
    return {b + (panels.begin(q) - panels.begin(first)) * step.depth,
            panels.vectors_of(q) * kLanes<A>, 1};
  }

  /// Panels that serve two row panels at most do not pay for a copy. The kernel reads whole
  /// vectors.
  bool b_in_place(const Step& step, const ColumnPanels<A>& panels, int64_t q) const {
    return kNative && step.b.column == 1 && panels.is_whole(q) && m_ <= 2 * kTileRows;
  }

  Matrix<const A> own_panel(const Step& step, const ColumnPanels<A>& panels, int64_t q,
                            const A* room, int64_t first) const {
    if constexpr (kNative) {
      if (b_in_place(step, panels, q)) return {columns_at(step, panels, q), step.b.row, 1};
    }
    return packed_panel(step, panels, q, room, first);
  }

  void multiply_tile(const Step& step, const ColumnPanels<A>& panels, int64_t p, int64_t q,
                     const Matrix<const A>& a, const Matrix<const A>& b) const {
    const int64_t rows = rows_of(p), columns = panels.columns_of(q), vectors = panels.vectors_of(q);
    const int64_t row = p * kTileRows, column = step.n0 + panels.begin(q);
    const auto product = tile_product_of<A>(rows, vectors);
    const auto compute = [&](const TileOut<A>& out) {
      product(step.depth, a.data, a.row, a.column, b.data, b.row, out);
    };
    A* sums = step.partial.data + row * step.partial.row + column;
    const T* add = step.add ? step.add + row * n_ + column : nullptr;
    if constexpr (kNative) {
      const A* bias = end_.bias && step.first ? end_.bias + column : nullptr;
      compute({sums, n_, bias, step.first ? add : sums, columns - (vectors - 1) * kLanes<A>});
      if (end_.f && step.last)
        for (int64_t r = 0; r < rows; ++r) end_.f(sums + r * n_, columns);
    } else {
      const A* before = step.first ? nullptr : sums;
      if (!step.last) return compute({sums, step.partial.row, nullptr, before});
      alignas(64) A tile[kTileRows * kColumns];
      compute({tile, kColumns, nullptr, nullptr});
      for (int64_t r = 0; r < rows; ++r)
        round_row({column, column + columns}, tile + r * kColumns,
                  before ? before + r * step.partial.row : nullptr, add ? add + r * n_ : nullptr,
                  step.c + (row + r) * n_ + column);
    }
  }

  /// The last pass of a 16-bit product: everything is added in f32 and rounded once.
  void round_row(Range columns, A* __restrict tile, const A* sums, const T* add, T* c) const {
    const int64_t n = columns.end - columns.begin;
    if (end_.bias)
      for (int64_t j = 0; j < n; ++j) tile[j] += end_.bias[columns.begin + j];
    if (sums)
      for (int64_t j = 0; j < n; ++j) tile[j] += sums[j];
    if (add)
      for (int64_t j = 0; j < n; ++j) tile[j] += static_cast<A>(add[j]);
    if (end_.f) end_.f(tile, n);
    convert(tile, n, c);
  }

  int64_t m_, n_, k_;
  ProductEnd<T> end_;
};

}  // namespace diptych::cpu
