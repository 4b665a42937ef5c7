// cuda/elementwise.cu — loops over the scalar functors of tensor/scalar_ops.h.
//
// Such kernels are bound by memory: every value is read once and written once, and a thread takes
// 16 bytes of each array at a time. Threads that are neighbours take packs that are neighbours.
#include "cuda/strided.cuh"
#include "tensor/kernels.h"
#include "tensor/scalar_ops.h"

namespace diptych::cuda {
namespace {

// Contiguous arrays of n elements; `packed`: all of them start at multiples of 16 bytes.

/// y = f(x)
template <class Op, class T>
__global__ void map(const T* x, int64_t n, bool packed, T* y) {
  constexpr int S = Pack<T>::kSize;
  const int64_t i = thread_number() * S, left = n - i;
  if (left <= 0) return;
  Pack<T> v = load<S>(x + i, left, packed);
  DIPTYCH_UNROLL
  for (T& e : v.at) e = narrow<T>(Op::f(widen(e)));
  store(v, left, packed, y + i);
}

/// dx = g f'(s)
template <class Op, class T>
__global__ void map_grad(const T* s, const T* g, int64_t n, bool packed, T* dx) {
  constexpr int S = Pack<T>::kSize;
  const int64_t i = thread_number() * S, left = n - i;
  if (left <= 0) return;
  const Pack<T> in = load<S>(s + i, left, packed);
  Pack<T> d = load<S>(g + i, left, packed);
  DIPTYCH_UNROLL
  for (int j = 0; j < S; ++j) d.at[j] = narrow<T>(widen(d.at[j]) * Op::df(widen(in.at[j])));
  store(d, left, packed, dx + i);
}

/// y = f(x), g ← g f'(x)
template <class Op, class T>
__global__ void map_both(const T* x, int64_t n, bool packed, T* y, T* g) {
  constexpr int S = Pack<T>::kSize;
  const int64_t i = thread_number() * S, left = n - i;
  if (left <= 0) return;
  Pack<T> v = load<S>(x + i, left, packed), d = load<S>(g + i, left, packed);
  DIPTYCH_UNROLL
  for (int j = 0; j < S; ++j) {
    const acc_t<T> in = widen(v.at[j]), out = Op::f(in);
    v.at[j] = narrow<T>(out);
    d.at[j] = narrow<T>(widen(d.at[j]) * Op::df(Op::needs == Needs::output ? out : in));
  }
  store(v, left, packed, y + i);
  store(d, left, packed, g + i);
}

// Strided operands; what is computed is contiguous, and the last array of the loop. S elements for
// each thread: a pack where every array has it, else one.

/// y = f(a, b)
template <class Op, int S, class T>
__global__ void zip(const __grid_constant__ StridedLoop<3> loop, const T* a, const T* b, T* y) {
  const int64_t i = thread_number() * S, left = loop.numel - i;
  if (left <= 0) return;
  const auto [at] = loop.offsets(i);
  const Pack<T, S> in_a = load_along<S>(a + at[0], loop.stride[0][0], left),
                   in_b = load_along<S>(b + at[1], loop.stride[1][0], left);
  Pack<T, S> out;
  DIPTYCH_UNROLL
  for (int j = 0; j < S; ++j) out.at[j] = narrow<T>(Op::f(widen(in_a.at[j]), widen(in_b.at[j])));
  store(out, left, true, y + i);
}

/// d = g ∂f/∂(operand 0: a, 1: b)
template <class Op, int operand, int S, class T>
__global__ void zip_grad(const __grid_constant__ StridedLoop<4> loop, const T* a, const T* b,
                         const T* g, T* d) {
  const int64_t i = thread_number() * S, left = loop.numel - i;
  if (left <= 0) return;
  const auto [at] = loop.offsets(i);
  const Pack<T, S> in_a = load_along<S>(a + at[0], loop.stride[0][0], left),
                   in_b = load_along<S>(b + at[1], loop.stride[1][0], left);
  Pack<T, S> out = load_along<S>(g + at[2], loop.stride[2][0], left);
  DIPTYCH_UNROLL
  for (int j = 0; j < S; ++j) {
    const acc_t<T> u = widen(in_a.at[j]), v = widen(in_b.at[j]);
    const acc_t<T> slope = operand == 0 ? Op::da(u, v) : Op::db(u, v);
    out.at[j] = narrow<T>(widen(out.at[j]) * slope);
  }
  store(out, left, true, d + i);
}

/// y = a where mask is not 0, else b
template <class T>
__global__ void choose(const __grid_constant__ StridedLoop<4> loop, const uint8_t* mask, const T* a,
                       const T* b, T* y) {
  const int64_t i = thread_number();
  if (i >= loop.numel) return;
  const auto [at] = loop.offsets(i);
  y[i] = mask[at[0]] != 0 ? a[at[1]] : b[at[2]];
}

// The kernels of one operator.

template <class T>
struct UnaryKernels {
  decltype(&map<scalar::Neg, T>) value;
  decltype(&map_grad<scalar::Neg, T>) grad;
  decltype(&map_both<scalar::Neg, T>) both;
};

template <class T>
UnaryKernels<T> kernels_of(Unary op) {
  return visit_unary(op, []<class Op>(Op) {
    return UnaryKernels<T>{&map<Op, T>, &map_grad<Op, T>, &map_both<Op, T>};
  });
}

template <int S, class T>
struct BinaryKernels {
  decltype(&zip<scalar::Add, S, T>) value;
  decltype(&zip_grad<scalar::Add, 0, S, T>) grad[2];
};

template <int S, class T>
BinaryKernels<S, T> kernels_of(Binary op) {
  return visit_binary(op, []<class Op>(Op) {
    return BinaryKernels<S, T>{&zip<Op, S, T>, {&zip_grad<Op, 0, S, T>, &zip_grad<Op, 1, S, T>}};
  });
}

}  // namespace

void unary(Unary op, const Tensor& x, Tensor& y) {
  visit_float(x.dtype(), [&]<class T>(Type<T>) {
    const T* px = x.data<T>();
    T* py = y.data<T>();
    launch("unary", kernels_of<T>(op).value, grid_for(x.numel(), Pack<T>::kSize), px, x.numel(),
           is_packed(px, py), py);
  });
}

void unary_grad(Unary op, const Tensor& s, const Tensor& g, Tensor& dx) {
  // Operators that need neither x nor y ignore the argument of df: g stands in for it.
  const Tensor& in = s.defined() ? s : g;
  visit_float(g.dtype(), [&]<class T>(Type<T>) {
    const T *ps = in.data<T>(), *pg = g.data<T>();
    T* pd = dx.data<T>();
    launch("unary_grad", kernels_of<T>(op).grad, grid_for(dx.numel(), Pack<T>::kSize), ps, pg,
           dx.numel(), is_packed(ps, pg, pd), pd);
  });
}

void unary_both(Unary op, const Tensor& x, Tensor& y, Tensor& g) {
  visit_float(x.dtype(), [&]<class T>(Type<T>) {
    const T* px = x.data<T>();
    T *py = y.data<T>(), *pg = g.data<T>();
    launch("unary_both", kernels_of<T>(op).both, grid_for(x.numel(), Pack<T>::kSize), px, x.numel(),
           is_packed(px, py, pg), py, pg);
  });
}

void binary(Binary op, const Tensor& a, const Tensor& b, Tensor& y) {
  const StridedLoop<3> loop(y.shape(), {a.strides(), b.strides(), y.strides()});
  visit_float(y.dtype(), [&]<class T>(Type<T>) {
    constexpr int S = Pack<T>::kSize;
    const T *pa = a.data<T>(), *pb = b.data<T>();
    T* py = y.data<T>();
    const auto start = [&]<int each>(const BinaryKernels<each, T>& kernels) {
      launch("binary", kernels.value, grid_for(loop.numel, each), loop, pa, pb, py);
    };
    loop.is_packed<S>(pa, pb, py) ? start(kernels_of<S, T>(op)) : start(kernels_of<1, T>(op));
  });
}

void binary_grad(Binary op, int operand, const Tensor& a, const Tensor& b, const Tensor& g,
                 Tensor& d) {
  const StridedLoop<4> loop(d.shape(), {a.strides(), b.strides(), g.strides(), d.strides()});
  visit_float(d.dtype(), [&]<class T>(Type<T>) {
    constexpr int S = Pack<T>::kSize;
    const T *pa = a.data<T>(), *pb = b.data<T>(), *pg = g.data<T>();
    T* pd = d.data<T>();
    const auto start = [&]<int each>(const BinaryKernels<each, T>& kernels) {
      launch("binary_grad", kernels.grad[operand], grid_for(loop.numel, each), loop, pa, pb, pg,
             pd);
    };
    loop.is_packed<S>(pa, pb, pg, pd) ? start(kernels_of<S, T>(op)) : start(kernels_of<1, T>(op));
  });
}

void where(const Tensor& mask, const Tensor& a, const Tensor& b, Tensor& y) {
  const StridedLoop<4> loop(y.shape(), {mask.strides(), a.strides(), b.strides(), y.strides()});
  visit_float(y.dtype(), [&]<class T>(Type<T>) {
    launch("where", &choose<T>, grid_for(loop.numel), loop, mask.data<uint8_t>(), a.data<T>(),
           b.data<T>(), y.data<T>());
  });
}

}  // namespace diptych::cuda
