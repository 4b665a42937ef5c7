// tensor/cpu/gemm_product.h — one product of two matrices, c = f(a b + bias + add), for any strides
// and any floats.
//
// The method is that of Goto and van de Geijn ("Anatomy of high-performance matrix multiplication",
// 2008) in the form of BLIS: blocks of a and b are copied ("packed") into the order in which the
// innermost kernel reads them, each sized for the cache it lives in, and the kernel keeps a small
// block of c in registers. Packing costs O(MK + KN) and makes strides, transpositions, broadcast
// axes and 16-bit types the same case (factor.h). tensor/cpu/README.md climbs there from three
// plain loops.
//
//   for each pass over K                    the same cuts for any number of threads
//     for each kWidth of N
//       pack b (depth, kWidth)              shared, packed by all threads
//       each thread, for its part of c:
//         for each kRowPanels tiles of M
//           pack a (…, depth)               of the thread, unless it can be read in place
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
#include "tensor/cpu/pack_pairs.h"
#include "tensor/cpu/scratch.h"

namespace diptych::cpu {

/// a and b of type T become factors P; c is of type C, T or acc_t<T>.
template <class T, class C = T, class P = factor_t<T>>
class Product {
 public:
  using A = acc_t<T>;

  Product(int64_t m, int64_t n, int64_t k, const ProductEnd<C>& end)
      : m_(m), n_(n), k_(k), end_(end) {}

  /// The product of one a and b; `shift` elements into c and into what is added.
  void run(Matrix<const T> a, Matrix<const T> b, C* c, int64_t shift) const {
    if (is_halved(a, b)) return run_halves(a, b, c + shift);
    static thread_local Scratch sums;
    const Passes<P> passes(0, k_);
    const C* add = end_.add ? end_.add + shift : nullptr;
    Step step{a, b, c + shift, add, partial(c + shift, sums, passes.count), end_.row_sums, 0, 0,
              0, 0, true,      true};
    for (int64_t pass = 0; pass < passes.count; ++pass) {
      select(passes, pass, step);
      for (step.n0 = 0; step.n0 < n_; step.n0 += kWidth) {
        step.width = std::min(kWidth, n_ - step.n0);
        multiply(step);
      }
    }
  }

 private:
  static constexpr bool kSumsInC = std::is_same_v<C, A>;  // no rounding at the end
  static constexpr bool kAsItIs = std::is_same_v<P, T>;   // a and b may be read in place
  static constexpr int64_t kRowPanels = 16;
  static constexpr int64_t kColumns = kTileColumns<A>, kWidth = kColumns * 64;

  /// One pass over c: (m, depth) × (depth, width) is added to columns n0 … of c.
  struct Step {
    Matrix<const T> a, b;
    C* c;
    const C* add;
    Matrix<A> partial;  // sums between passes: c itself, or f32 for a c of 16 bits
    A* row_sums;
    int64_t k0, depth, n0, width;
    bool first, last;

    int64_t elements() const { return ceil_div(depth, kTerms<P>); }  // of a row of a
  };

  static void select(const Passes<P>& passes, int64_t pass, Step& step) {
    const Range terms = passes.terms(pass);
    step.k0 = terms.begin;
    step.depth = terms.end - terms.begin;
    step.first = pass == 0;
    step.last = pass == passes.count - 1;
  }

  /// The gradient of a weight, gᵀ x, sums over the rows of two tall matrices. Threads have computed
  /// half of these rows each, and may be far apart: each sums over its half, and what they exchange
  /// is c, not g and x. Whether this is done depends on the product alone.
  bool is_halved(const Matrix<const T>& a, const Matrix<const T>& b) const {
    constexpr int64_t kTall = 512, kMost = int64_t{1} << 18;
    const bool plain = !end_.bias && !end_.add && !end_.f;
    return kSumsInC && plain && a.row == 1 && b.column == 1 && k_ >= kTall && n_ <= kWidth &&
           m_ * n_ <= kMost;
  }

  void run_halves(const Matrix<const T>& a, const Matrix<const T>& b, C* c) const {
    if constexpr (kSumsInC) {
      static thread_local Scratch scratch;
      A *second = scratch.get<A>(m_ * n_ + m_), *second_sums = second + m_ * n_;
      const int64_t down = ceil_div(m_, kTileRows), half = whole_elements<P>(ceil_div(k_, 2));
      const ColumnPanels<A> panels(n_);
      const Grid grid = Grid::even(ceil_div(useful_threads(m_ * n_ * k_), 2), down, panels.count);
      parallel_for(2 * grid.parts(), 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t h = i / grid.parts(), part = i % grid.parts();
          A* sum = h == 0 ? c : second;
          A* row_sums = h == 0 || !end_.row_sums ? end_.row_sums : second_sums;
          const Passes<P> passes(h * half, std::min(k_, (h + 1) * half));
          Step step{a, b, sum, nullptr, {sum, n_, 1}, row_sums, 0, 0, 0, n_, true, true};
          for (int64_t pass = 0; pass < passes.count; ++pass) {
            select(passes, pass, step);
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

  Matrix<A> partial(C* c, Scratch& sums, int64_t passes) const {
    if constexpr (kSumsInC) {
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
    const P* b = thin || packs_alone(step, threads) ? nullptr : packed_by_all(step, panels);
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

  const P* packed_by_all(const Step& step, const ColumnPanels<A>& panels) const {
    static thread_local Scratch scratch;
    P* b = scratch.get<P>(panels.vectors * kLanes<A> * step.elements());
    const int64_t grain = std::max<int64_t>(1, 16384 / (kColumns * step.elements() + 1));
    parallel_for(panels.count, grain, [&](int64_t begin, int64_t end) {
      for (int64_t q = begin; q < end; ++q) pack_b(step, panels, q, b);
    });
    return b;
  }

  /// Panel q into its place in a buffer that begins with panel `first`.
  void pack_b(const Step& step, const ColumnPanels<A>& panels, int64_t q, P* buffer,
              int64_t first = 0) const {
    pack_panel(columns_at(step, panels, q), step.b.row, step.b.column, step.depth,
               panels.columns_of(q), panels.vectors_of(q) * kLanes<A>,
               buffer + (panels.begin(q) - panels.begin(first)) * step.elements());
  }

  const T* columns_at(const Step& step, const ColumnPanels<A>& panels, int64_t q) const {
    return step.b.data + step.k0 * step.b.row + (step.n0 + panels.begin(q)) * step.b.column;
  }

  int64_t rows_of(int64_t p) const { return std::min<int64_t>(kTileRows, m_ - p * kTileRows); }

  void pack_a(const Step& step, int64_t p, P* panel) const {
    const Matrix<const T>& a = step.a;
    pack_panel(a.data + p * kTileRows * a.row + step.k0 * a.column, a.column, a.row, step.depth,
               rows_of(p), rows_of(p), panel);
  }

  /// Row panels `down` times column panels `across`. b: packed, or null: then it is packed here,
  /// once; if the outer loop has a single round, a panel at a time, while memory fetches the next.
  void multiply_part(const Step& step, const P* b, Range down, Range across) const {
    static thread_local Scratch packed_a, packed_b;
    const int64_t panel = kTileRows * step.elements(), all = across.end - across.begin;
    const bool once = !b && down.end - down.begin <= kRowPanels;
    const ColumnPanels<A> panels(step.width);
    P* a = a_in_place(step) ? nullptr : packed_a.get<P>(kRowPanels * panel);
    P* room = b ? nullptr : packed_b.get<P>((once ? 1 : all) * kColumns * step.elements());
    for (int64_t top = down.begin; top < down.end; top += kRowPanels) {
      const Range some{top, std::min(down.end, top + kRowPanels)};
      for (int64_t p = top; a && p < some.end; ++p) pack_a(step, p, a + (p - top) * panel);
      if (step.row_sums && step.n0 == 0 && across.begin == 0) sum_rows_of(step, some, a);
      for (int64_t q = across.begin; q < across.end; ++q) {
        const int64_t first = once ? q : across.begin;
        if (!b && top == down.begin && !b_in_place(step, panels, q))
          pack_b(step, panels, q, room, first);
        const auto columns =
            b ? packed_panel(step, panels, q, b, 0) : own_panel(step, panels, q, room, first);
        Upcoming next = upcoming(step, panels, q + 1, once && q + 1 < across.end, some);
        for (int64_t p = top; p < some.end; ++p)
          multiply_tile(step, panels, p, q, rows_at(step, p, a + (p - top) * panel), columns, next);
      }
    }
  }

  void sum_rows_of(const Step& step, Range down, const P* a) const {
    for (int64_t p = down.begin; p < down.end; ++p)
      sum_rows(rows_at(step, p, a + (p - down.begin) * kTileRows * step.elements()), rows_of(p),
               step.elements(), step.first, step.row_sums + p * kTileRows);
  }

  /// Panel q of b, if it is the next to be packed, while row panels `down` are worked on.
  Upcoming upcoming(const Step& step, const ColumnPanels<A>& panels, int64_t q, bool follows,
                    Range down) const {
    const Matrix<const T>& b = step.b;
    if (!follows || step.depth == 0 || (b.row != 1 && b.column != 1)) return {};
    const int64_t columns = panels.columns_of(q), bytes = sizeof(T);
    const int64_t calls = (down.end - down.begin) * ceil_div(step.elements(), kFetchSteps);
    const T* data = columns_at(step, panels, q);
    if (b.row == 1) return {data, columns, b.column * bytes, step.depth * bytes, calls};
    return {data, step.depth, b.row * bytes, columns * bytes, calls};
  }

  /// The kernel reads a by single elements: rows that are contiguous need no packing if they divide
  /// into elements, nor do contiguous columns that serve two panels of b at most.
  static bool a_in_place(const Step& step) {
    const Matrix<const T>& a = step.a;
    const bool rows = a.column == 1 && a.row % kTerms<P> == 0 && step.depth % kTerms<P> == 0;
    const bool columns = kAsItIs && a.row == 1 && step.width <= 2 * kColumns;
    return sizeof(P) == kTerms<P> * sizeof(T) && (rows || columns);
  }

  Matrix<const P> rows_at(const Step& step, int64_t p, const P* packed) const {
    const Matrix<const T>& a = step.a;
    if (!a_in_place(step)) return {packed, 1, rows_of(p)};
    const T* first = a.data + p * kTileRows * a.row + step.k0 * a.column;
    return {reinterpret_cast<const P*>(first), ceil_div(a.row, kTerms<P>), a.column};
  }

  /// Panel q in a buffer that begins with panel `first`.
  Matrix<const P> packed_panel(const Step& step, const ColumnPanels<A>& panels, int64_t q,
                               const P* b, int64_t first) const {
    return {b + (panels.begin(q) - panels.begin(first)) * step.elements(),
            panels.vectors_of(q) * kLanes<A>, 1};
  }

  /// Panels that serve two row panels at most do not pay for a copy. The kernel reads whole
  /// vectors.
  bool b_in_place(const Step& step, const ColumnPanels<A>& panels, int64_t q) const {
    return kAsItIs && step.b.column == 1 && panels.is_whole(q) && m_ <= 2 * kTileRows;
  }

  Matrix<const P> own_panel(const Step& step, const ColumnPanels<A>& panels, int64_t q,
                            const P* room, int64_t first) const {
    if constexpr (kAsItIs) {
      if (b_in_place(step, panels, q)) return {columns_at(step, panels, q), step.b.row, 1};
    }
    return packed_panel(step, panels, q, room, first);
  }

  void multiply_tile(const Step& step, const ColumnPanels<A>& panels, int64_t p, int64_t q,
                     const Matrix<const P>& a, const Matrix<const P>& b, Upcoming& next) const {
    const int64_t rows = rows_of(p), columns = panels.columns_of(q), vectors = panels.vectors_of(q);
    const int64_t row = p * kTileRows, column = step.n0 + panels.begin(q);
    const auto product = tile_product_of<P>(rows, vectors);
    const auto compute = [&](TileOut<A> out) {
      out.next = &next;
      product(step.elements(), a.data, a.row, a.column, b.data, b.row, out);
    };
    A* sums = step.partial.data + row * step.partial.row + column;
    const C* add = step.add ? step.add + row * n_ + column : nullptr;
    if constexpr (kSumsInC) {
      const A* bias = end_.bias && step.first ? end_.bias + column : nullptr;
      compute({sums, n_, bias, step.first ? add : sums, columns - (vectors - 1) * kLanes<A>});
      if (end_.f && step.last)
        for (int64_t r = 0; r < rows; ++r) end_.f(sums + r * n_, columns);
    } else {
      const A* before = step.first ? nullptr : sums;
      if (!step.last) return compute({sums, step.partial.row, nullptr, before});
      alignas(64) A tile[kTileRows * kColumns];
      C* c = step.c + row * n_ + column;
      for (int64_t r = 0; r < rows; ++r) {
        __builtin_prefetch(c + r * n_, 1);
        __builtin_prefetch(c + r * n_ + columns - 1, 1);
      }
      compute({tile, kColumns, nullptr, nullptr});
      for (int64_t r = 0; r < rows; ++r)
        round_row(end_, {column, column + columns}, tile + r * kColumns,
                  before ? before + r * step.partial.row : nullptr, add ? add + r * n_ : nullptr,
                  c + r * n_);
    }
  }

  int64_t m_, n_, k_;
  ProductEnd<C> end_;
};

}  // namespace diptych::cpu
