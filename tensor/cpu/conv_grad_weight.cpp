// tensor/cpu/conv_grad_weight.cpp — the gradient of a convolution to its weights:
//
//   dw[o, t, c] = Σ_m  g[m, o] x[m ∘ t, c]     m ∘ t: the pixel that place m sees under tap t
//
// The gathered pixels are the right factor, packed a panel at a time.
#include "tensor/cpu/conv_panels.h"

namespace diptych::cpu {
namespace {

/// dw (O, taps × C) = gᵀ × pixels gathered under every tap, over kPassDepth places at a time.
template <class A>
class WeightGradient {
 public:
  WeightGradient(const Gather<A>& gather, int64_t taps, const A* g, Panels<A> panels, A* dw)
      : gather_(gather), taps_(taps), g_(g), panels_(panels), dw_(dw) {}

  void run(int64_t places) const {
    const int64_t blocks = ceil_div(places, kPassDepth), depth = ceil_div(places, blocks);
    for (int64_t m = 0; m < places; m += depth) multiply(m, std::min(depth, places - m));
  }

 private:
  void multiply(int64_t place, int64_t depth) const {
    static thread_local Scratch packed, addresses;
    auto** pixels = addresses.get<const A*>(taps_ * depth);
    gather_.fill(place, depth, 0, taps_, pixels);
    const int64_t panel = Panels<A>::kColumns * depth;
    A* b = packed.get<A>(panels_.across() * panel);
    parallel_for(panels_.across(), std::max<int64_t>(1, 16384 / panel),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t q = begin; q < end; ++q)
                     pack_pixels(pixels, depth, q, b + q * panel);
                 });
    panels_.in_parallel(depth, [&](Range rows, Range columns) {
      for (int64_t p = rows.begin; p < rows.end; ++p)
        multiply_panel(place, depth, p, columns.begin, columns.end, b);
    });
  }

  /// Columns q of the unfolded picture: runs of channels, one per tap that the panel touches.
  void pack_pixels(const A* const* pixels, int64_t depth, int64_t q, A* panel) const {
    const int64_t C = gather_.channels(), pitch = panels_.vectors(q) * kLanes<A>;
    const int64_t width = panels_.columns(q), first = q * Panels<A>::kColumns;
    if (width < pitch) std::fill(panel, panel + depth * pitch, A(0));
    for (int64_t j = 0; j < width;) {
      const int64_t tap = (first + j) / C, c = (first + j) % C, run = std::min(width - j, C - c);
      for (int64_t k = 0; k < depth; ++k)
        detail::copy_short(pixels[tap * depth + k] + c, run, panel + k * pitch + j);
      j += run;
    }
  }

  void multiply_panel(int64_t place, int64_t depth, int64_t p, int64_t q0, int64_t q1,
                      const A* b) const {
    static thread_local Scratch packed;
    const int64_t rows = panels_.rows(p), O = panels_.M;
    A* a = packed.get<A>(kTileRows * depth);
    pack_panel(g_ + place * O + p * kTileRows, O, 1, depth, rows, rows, a);
    for (int64_t q = q0; q < q1; ++q) {
      const int64_t vectors = panels_.vectors(q);
      tile_product_of<A>(rows, vectors)(depth, a, 1, rows, b + q * Panels<A>::kColumns * depth,
                                        vectors * kLanes<A>, panels_.tile(p, q, place > 0, dw_));
    }
  }

  const Gather<A>& gather_;
  int64_t taps_;
  const A* g_;
  Panels<A> panels_;
  A* dw_;
};

}  // namespace

void conv2d_grad_weight(const Tensor& x, const Tensor& g, const Window& window, Tensor& dw) {
  if (dw.numel() == 0) return;
  if (g.numel() == 0) return fill(0, dw);
  visit_float(g.dtype(), [&]<class T>(Type<T>) {
    using A = acc_t<T>;
    static thread_local Scratch room_x, room_g;
    const A* grad = wide<T>(g, room_g);
    const Gather<A> gather(wide<T>(x, room_x), zero_pixel<A>(x.dim(3)), x.shape(), g.shape(),
                           dw.dim(2), window, false);
    const Panels<A> panels{dw.dim(0), taps_of(dw) * dw.dim(3)};
    write_wide<T>(dw, [&](A* c) {
      WeightGradient<A>(gather, taps_of(dw), grad, panels, c).run(pixels_of(g));
    });
  });
}

}  // namespace diptych::cpu
