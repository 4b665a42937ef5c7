// cuda/conv.cu — convolution and its gradients. cuDNN computes what it knows; what it does not,
// f64 above all, is computed here, as products of matrices whose numbers are gathered on the way:
//
//   y[m, o]      = Σ_tc  x[m ∘ t, c] w[o, t, c]     m ∘ t: the pixel that place m sees under tap t
//   dx[n, c]     = Σ_to  g[n ∘ t, o] w[o, t, c]     n ∘ t: the place that sees pixel n under tap t
//   dw[o, t, c]  = Σ_m   g[m, o] x[m ∘ t, c]
//
// Nothing the size of the unfolded picture ("im2col") ever exists ("implicit GEMM").
//
// Long sums with few results are cut into parts, which are added up in order. Grid and cuts depend
// on shapes alone, so the bits are the same on every run.
#include <algorithm>

#include "cuda/cudnn.h"
#include "cuda/tile_product.cuh"
#include "tensor/kernels.h"

namespace diptych::cuda {
namespace {

// The sides of a product: see tile_product.cuh.

/// A matrix with any strides.
template <class T, bool along_terms>
struct Plain {
  static constexpr bool kAlongTerms = along_terms;
  using Lane = const T*;
  using Term = int64_t;
  __device__ Lane lane(int64_t i) const { return data + i * lane_stride; }
  __device__ Term term(int64_t k) const { return k * term_stride; }
  __device__ T at(Lane lane, Term term) const { return lane[term]; }

  const T* data;
  int64_t lane_stride, term_stride;
};

/// Pictures (B, H, W, D) under a window with kw pixels in a row, which stands at P × Q places.
struct Scene {
  int64_t H, W, D, P, Q, kw, stride, padding;
};

/// Where a window begins: its picture in memory, and its first pixel, perhaps outside of that.
struct Place {
  int64_t picture, y, x;
};
__device__ Place place_of(const Scene& s, int64_t m) {
  const int64_t column = m % s.Q, row = m / s.Q % s.P, b = m / s.Q / s.P;
  return {b * s.H * s.W * s.D, row * s.stride - s.padding, column * s.stride - s.padding};
}

/// An entry of the window: tap (i, j), channel d.
struct Entry {
  int64_t i, j, d;
};
__device__ Entry entry_of(const Scene& s, int64_t k) {
  const int64_t tap = k / s.D;
  return {tap / s.kw, tap % s.kw, k % s.D};
}

template <class T>
__device__ T pixel(const T* x, const Scene& s, const Place& place, const Entry& entry) {
  const int64_t y = place.y + entry.i, column = place.x + entry.j;
  const bool inside = 0 <= y && y < s.H && 0 <= column && column < s.W;
  return inside ? x[place.picture + (y * s.W + column) * s.D + entry.d] : T(0.0f);
}

/// x[m ∘ t, c] on the left: places by entries.
template <class T>
struct Unfolded {
  static constexpr bool kAlongTerms = true;
  using Lane = Place;
  using Term = Entry;
  __device__ Lane lane(int64_t m) const { return place_of(scene, m); }
  __device__ Term term(int64_t k) const { return entry_of(scene, k); }
  __device__ T at(const Lane& lane, const Term& term) const { return pixel(x, scene, lane, term); }

  const T* x;
  Scene scene;
};

/// The same on the right: the sums are over places.
template <class T>
struct UnfoldedOverPlaces {
  static constexpr bool kAlongTerms = false;
  using Lane = Entry;
  using Term = Place;
  __device__ Lane lane(int64_t k) const { return entry_of(scene, k); }
  __device__ Term term(int64_t m) const { return place_of(scene, m); }
  __device__ T at(const Lane& lane, const Term& term) const { return pixel(x, scene, term, lane); }

  const T* x;
  Scene scene;
};

/// g[n ∘ t, o]: the scene is that of the input, but D are the channels of g (B, P, Q, D).
template <class T>
struct SeenBy {
  static constexpr bool kAlongTerms = true;
  using Lane = Place;
  using Term = Entry;
  __device__ Lane lane(int64_t n) const {
    const int64_t column = n % scene.W, row = n / scene.W % scene.H, b = n / scene.W / scene.H;
    return {b * scene.P * scene.Q * scene.D, row + scene.padding, column + scene.padding};
  }
  __device__ Term term(int64_t k) const { return entry_of(scene, k); }
  __device__ T at(const Lane& lane, const Term& term) const {
    const int64_t y = lane.y - term.i, x = lane.x - term.j;
    const int64_t p = y / scene.stride, q = x / scene.stride;
    const bool seen = y >= 0 && x >= 0 && p * scene.stride == y && q * scene.stride == x &&
                      p < scene.P && q < scene.Q;
    return seen ? g[lane.picture + (p * scene.Q + q) * scene.D + term.d] : T(0.0f);
  }

  const T* g;
  Scene scene;
};

/// w[o, t, c] with terms (t, o) and lanes c.
template <class T>
struct Turned {
  static constexpr bool kAlongTerms = false;
  using Lane = const T*;
  using Term = int64_t;
  __device__ Lane lane(int64_t c) const { return w + c; }
  __device__ Term term(int64_t k) const { return (k % O * taps + k / O) * C; }
  __device__ T at(Lane lane, Term term) const { return lane[term]; }

  const T* w;
  int64_t O, taps, C;
};

/// y = left right, (M, N) numbers. Sums are cut as often as it takes to have blocks enough.
template <class T, class Left, class Right>
void multiply(const char* name, const Left& left, const Right& right, int64_t M, int64_t N,
              int64_t K, Tensor& y) {
  using A = acc_t<T>;
  constexpr int64_t kManyBlocks = 512, kLeastDepth = 512;
  const int64_t down = ceil_div(M, kTile), across = ceil_div(N, kTile);
  const int64_t cuts =
      std::clamp<int64_t>(kManyBlocks / (down * across), 1, ceil_div(K, kLeastDepth));
  const Extents e{M, N, K, ceil_div(ceil_div(K, cuts), kTerms) * kTerms};
  const int64_t parts = ceil_div(K, e.depth);
  const bool in_place = std::is_same_v<T, A> && parts == 1;
  Tensor sums = in_place ? y.view({1, M * N}) : empty({parts, M * N}, dtype_of<A>(), Device::cuda);
  launch(name, tile_product<A, Left, Right>, {down, kBlock, across, parts}, left, right, e,
         sums.data<A>());
  if (in_place) return;
  Tensor whole =
      std::is_same_v<T, A> ? y.view({1, M * N}) : empty({1, M * N}, dtype_of<A>(), Device::cuda);
  reduce(Reduce::sum, sums.view({1, parts, M * N}), whole);
  if (std::is_same_v<T, A>) return;
  Tensor flat = y.view({1, M * N});
  copy(whole, flat);
}

/// x: the pictures; places: their windows'. D: the channels of whichever of them is gathered.
Scene scene_of(const Tensor& x, const Tensor& places, const Tensor& w, const Window& window,
               int64_t D) {
  return {x.dim(1),      x.dim(2),      D, places.dim(1), places.dim(2), w.dim(2),
          window.stride, window.padding};
}

int64_t pixels_of(const Tensor& x) { return x.dim(0) * x.dim(1) * x.dim(2); }

}  // namespace

void conv2d(const Tensor& x, const Tensor& w, const Window& window, Tensor& y) {
  if (y.numel() == 0) return;
  if (w.numel() == 0) return fill(0, y);
  if (cudnn_forward(x, w, window, y)) return;
  visit_float(x.dtype(), [&]<class T>(Type<T>) {
    const int64_t O = w.dim(0), K = w.numel() / O;
    const Unfolded<T> left{x.data<T>(), scene_of(x, y, w, window, x.dim(3))};
    const Plain<T, true> right{w.data<T>(), K, 1};
    multiply<T>("conv2d", left, right, pixels_of(y), O, K, y);
  });
}

void conv2d_grad_input(const Tensor& g, const Tensor& w, const Window& window, Tensor& dx) {
  if (dx.numel() == 0) return;
  if (g.numel() == 0) return fill(0, dx);
  if (cudnn_grad_input(g, w, window, dx)) return;
  visit_float(g.dtype(), [&]<class T>(Type<T>) {
    const int64_t O = w.dim(0), C = w.dim(3), taps = w.dim(1) * w.dim(2);
    const SeenBy<T> left{g.data<T>(), scene_of(dx, g, w, window, O)};
    const Turned<T> right{w.data<T>(), O, taps, C};
    multiply<T>("conv2d_grad_input", left, right, pixels_of(dx), C, taps * O, dx);
  });
}

void conv2d_grad_weight(const Tensor& x, const Tensor& g, const Window& window, Tensor& dw) {
  if (dw.numel() == 0) return;
  if (g.numel() == 0) return fill(0, dw);
  if (cudnn_grad_weight(x, g, window, dw)) return;
  visit_float(g.dtype(), [&]<class T>(Type<T>) {
    const int64_t O = dw.dim(0);
    const Plain<T, false> left{g.data<T>(), 1, O};
    const UnfoldedOverPlaces<T> right{x.data<T>(), scene_of(x, g, dw, window, x.dim(3))};
    multiply<T>("conv2d_grad_weight", left, right, O, dw.numel() / O, pixels_of(g), dw);
  });
}

}  // namespace diptych::cuda
