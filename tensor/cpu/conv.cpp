// tensor/cpu/conv.cpp — convolution, and its gradient to the input, as matrix products over
// gathered pixels.
//
//   y[m, o]      = Σ_tc  x[m ∘ t, c] w[o, t, c]     m ∘ t: the pixel that place m sees under tap t
//   dx[n, c]     = Σ_to  g[n ∘ t, o] w[o, t, c]     n ∘ t: the place that sees pixel n under tap t
//
// Pixels are rows of the left factor and are read where they are, through a table of addresses:
// nothing the size of the unfolded picture ("im2col") ever exists. The cuts of each sum depend on
// shapes alone.
#include "tensor/cpu/conv_panels.h"

namespace diptych::cpu {
namespace {

constexpr int64_t kPanelsPerBlock = 16;

/// c (M, N) = Σ_t rows gathered under tap t × weights of tap t, which pack(tap, d0, depth, q,
/// panel) lays out as a panel (depth, vectors).
template <class A, class Pack>
class GatheredConv {
 public:
  GatheredConv(const Gather<A>& gather, int64_t taps, Panels<A> panels, A* c, const Pack& pack)
      : gather_(gather), taps_(taps), panels_(panels), c_(c), pack_(pack) {}

  void run() const {
    const int64_t D = gather_.channels(), cuts = ceil_div(D, kPassDepth), depth = ceil_div(D, cuts);
    const int64_t taps = cuts > 1 ? 1 : std::min(taps_, std::max<int64_t>(1, kPassDepth / D));
    for (int64_t t = 0; t < taps_; t += taps)
      for (int64_t d = 0; d < D; d += depth)
        multiply({t, std::min(taps, taps_ - t), d, std::min(depth, D - d)});
  }

 private:
  /// The part of every sum that one pass adds.
  struct Terms {
    int64_t tap, taps, d, depth;
    bool first() const { return tap == 0 && d == 0; }
  };

  void multiply(const Terms& terms) const {
    static thread_local Scratch packed;
    const int64_t panel = Panels<A>::kColumns * terms.taps * terms.depth;
    A* b = packed.get<A>(panels_.across() * panel);
    parallel_for(panels_.across(), std::max<int64_t>(1, 16384 / panel),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t q = begin; q < end; ++q) pack_panels(terms, q, b + q * panel);
                 });
    panels_.in_parallel(terms.taps * terms.depth, [&](Range rows, Range columns) {
      for (int64_t top = rows.begin; top < rows.end; top += kPanelsPerBlock)
        multiply_block(terms, top, std::min(rows.end, top + kPanelsPerBlock), columns.begin,
                       columns.end, b, panel);
    });
  }

  void pack_panels(const Terms& terms, int64_t q, A* panel) const {
    for (int64_t t = 0; t < terms.taps; ++t)
      pack_(terms.tap + t, terms.d, terms.depth, q,
            panel + t * terms.depth * panels_.vectors(q) * kLanes<A>);
  }

  void multiply_block(const Terms& terms, int64_t p0, int64_t p1, int64_t q0, int64_t q1,
                      const A* b, int64_t panel) const {
    static thread_local Scratch addresses;
    const int64_t step = kTileRows * terms.taps;
    auto** rows = addresses.get<const A*>(kPanelsPerBlock * step);
    for (int64_t p = p0; p < p1; ++p)
      gather_.fill(p * kTileRows, panels_.rows(p), terms.tap, terms.taps, rows + (p - p0) * step);
    for (int64_t q = q0; q < q1; ++q)
      for (int64_t p = p0; p < p1; ++p)
        multiply_tile(terms, p, q, rows + (p - p0) * step, b + q * panel);
  }

  void multiply_tile(const Terms& terms, int64_t p, int64_t q, const A* const* rows,
                     const A* b) const {
    const auto product = gathered_product_of<A>(panels_.rows(p), panels_.vectors(q));
    product(terms.taps, terms.depth, rows, terms.d, b, panels_.tile(p, q, !terms.first(), c_));
  }

  const Gather<A>& gather_;
  int64_t taps_;
  Panels<A> panels_;
  A* c_;
  const Pack& pack_;
};

}  // namespace

void conv2d(const Tensor& x, const Tensor& w, const Window& window, Tensor& y) {
  if (y.numel() == 0) return;
  if (w.numel() == 0) return fill(0, y);
  visit_float(x.dtype(), [&]<class T>(Type<T>) {
    using A = acc_t<T>;
    static thread_local Scratch room_x, room_w;
    const A* weights = wide<T>(w, room_w);
    const Gather<A> gather(wide<T>(x, room_x), zero_pixel<A>(x.dim(3)), x.shape(), y.shape(),
                           w.dim(2), window, false);
    const int64_t taps = taps_of(w), C = w.dim(3), O = w.dim(0);
    const Panels<A> panels{pixels_of(y), O};
    const auto pack = [&](int64_t tap, int64_t d, int64_t depth, int64_t q, A* panel) {
      const int64_t o = q * Panels<A>::kColumns;
      pack_panel(weights + (o * taps + tap) * C + d, 1, taps * C, depth, panels.columns(q),
                 panels.vectors(q) * kLanes<A>, panel);
    };
    write_wide<T>(y, [&](A* c) { GatheredConv(gather, taps, panels, c, pack).run(); });
  });
}

void conv2d_grad_input(const Tensor& g, const Tensor& w, const Window& window, Tensor& dx) {
  if (dx.numel() == 0) return;
  if (g.numel() == 0) return fill(0, dx);
  visit_float(g.dtype(), [&]<class T>(Type<T>) {
    using A = acc_t<T>;
    static thread_local Scratch room_g, room_w;
    const A* weights = wide<T>(w, room_w);
    const Gather<A> gather(wide<T>(g, room_g), zero_pixel<A>(g.dim(3)), g.shape(), dx.shape(),
                           w.dim(2), window, true);
    const int64_t taps = taps_of(w), C = w.dim(3);
    const Panels<A> panels{pixels_of(dx), C};
    const auto pack = [&](int64_t tap, int64_t d, int64_t depth, int64_t q, A* panel) {
      const int64_t c = q * Panels<A>::kColumns;
      pack_panel(weights + (d * taps + tap) * C + c, taps * C, 1, depth, panels.columns(q),
                 panels.vectors(q) * kLanes<A>, panel);
    };
    write_wide<T>(dx, [&](A* c) { GatheredConv(gather, taps, panels, c, pack).run(); });
  });
}

}  // namespace diptych::cpu
