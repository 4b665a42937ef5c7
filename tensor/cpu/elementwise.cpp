// tensor/cpu/elementwise.cpp — loops over the scalar functors of tensor/scalar_ops.h.
#include "tensor/cpu/elementwise.h"

#include "tensor/cpu/convert.h"
#include "tensor/cpu/strided.h"
#include "tensor/kernels.h"
#include "tensor/scalar_ops.h"

namespace diptych::cpu {
namespace {

// Every loop below runs over contiguous f32 or f64: other layouts and types are brought into that
// form a block at a time, in buffers that stay in the first-level cache.
constexpr int64_t kBlock = 512;
constexpr int64_t kGrain = 8 * kBlock;

/// Calls f(begin, n) on blocks of [0, total), in parallel.
template <class F>
void for_each_block(int64_t total, const F& f) {
  parallel_for(total, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += kBlock) f(i, std::min(kBlock, end - i));
  });
}

/// n ≤ kBlock elements with a stride, as a contiguous array of the arithmetic type.
template <class T>
const acc_t<T>* gather(const T* x, int64_t stride, int64_t n, acc_t<T>* room) {
  using A = acc_t<T>;
  if (stride == 1) return widen(x, n, room);
  if (stride == 0) {
    std::fill(room, room + n, static_cast<A>(x[0]));
  } else {
    for (int64_t i = 0; i < n; ++i) room[i] = static_cast<A>(x[i * stride]);
  }
  return room;
}

/// Room for the operands and the result of one block. Vectors that cross cache lines take twice as
/// long.
template <class T>
struct alignas(64) Blocks {
  acc_t<T> a[kBlock], b[kBlock], g[kBlock], y[kBlock];

  static Blocks& of_this_thread() {
    static thread_local Blocks blocks;
    return blocks;
  }
};

// The loops proper. They are called through pointers: what stands around them is compiled once for
// each element type, not for each operator too, and __restrict holds, which inlining would lose and
// with it vectorisation.
template <class Op, class A>
void map(const A* __restrict x, int64_t n, A* __restrict y) {
  for (int64_t i = 0; i < n; ++i) y[i] = Op::f(x[i]);
}

template <class Op, class A>
void map_grad(const A* __restrict s, const A* __restrict g, int64_t n, A* __restrict dx) {
  for (int64_t i = 0; i < n; ++i) dx[i] = g[i] * Op::df(s[i]);
}

/// y = f(x), d ← d f'(x)
template <class Op, class A>
void map_both(const A* __restrict x, int64_t n, A* __restrict y, A* __restrict d) {
  for (int64_t i = 0; i < n; ++i) {
    y[i] = Op::f(x[i]);
    d[i] *= Op::df(Op::needs == Needs::output ? y[i] : x[i]);
  }
}

template <class Op, class A>
void zip(const A* __restrict a, const A* __restrict b, int64_t n, A* __restrict y) {
  for (int64_t i = 0; i < n; ++i) y[i] = Op::f(a[i], b[i]);
}

/// d = g ∂f/∂(operand 0: a, 1: b)
template <class Op, int operand, class A>
void zip_grad(const A* __restrict a, const A* __restrict b, const A* __restrict g, int64_t n,
              A* __restrict d) {
  for (int64_t i = 0; i < n; ++i) {
    d[i] = g[i] * (operand == 0 ? Op::da(a[i], b[i]) : Op::db(a[i], b[i]));
  }
}

template <class Op, class A>
void map_in_place(A* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] = Op::f(x[i]);
}

template <class A>
struct UnaryLoops {
  decltype(&map<scalar::Neg, A>) value;
  decltype(&map_grad<scalar::Neg, A>) grad;
  decltype(&map_both<scalar::Neg, A>) both;
};

template <class A>
UnaryLoops<A> loops_of(Unary op) {
  return visit_unary(op, []<class Op>(Op) {
    return UnaryLoops<A>{map<Op, A>, map_grad<Op, A>, map_both<Op, A>};
  });
}

template <class A>
struct BinaryLoops {
  decltype(&zip<scalar::Add, A>) value;
  decltype(&zip_grad<scalar::Add, 0, A>) grad[2];
};

template <class A>
BinaryLoops<A> loops_of(Binary op) {
  return visit_binary(op, []<class Op>(Op) {
    return BinaryLoops<A>{zip<Op, A>, {zip_grad<Op, 0, A>, zip_grad<Op, 1, A>}};
  });
}

}  // namespace

template <class A>
auto in_place(Unary f) -> void (*)(A*, int64_t) {
  return visit_unary(f, []<class Op>(Op) { return &map_in_place<Op, A>; });
}
template auto in_place<float>(Unary) -> void (*)(float*, int64_t);
template auto in_place<double>(Unary) -> void (*)(double*, int64_t);

void unary(Unary op, const Tensor& x, Tensor& y) {
  visit_float(x.dtype(), [&]<class T>(Type<T>) {
    const auto map = loops_of<acc_t<T>>(op).value;
    for_each_block(x.numel(), [map, px = x.data<T>(), py = y.data<T>()](int64_t i, int64_t n) {
      auto& room = Blocks<T>::of_this_thread();
      auto* out = landing(py + i, room.y);
      map(widen(px + i, n, room.a), n, out);
      narrow(out, n, py + i);
    });
  });
}

void unary_grad(Unary op, const Tensor& s, const Tensor& g, Tensor& dx) {
  // Operators that need neither x nor y ignore the argument of df: g stands in for it.
  const Tensor& in = s.defined() ? s : g;
  visit_float(g.dtype(), [&]<class T>(Type<T>) {
    const auto map = loops_of<acc_t<T>>(op).grad;
    const T *ps = in.data<T>(), *pg = g.data<T>();
    for_each_block(dx.numel(), [map, ps, pg, pd = dx.data<T>()](int64_t i, int64_t n) {
      auto& room = Blocks<T>::of_this_thread();
      auto* out = landing(pd + i, room.y);
      map(widen(ps + i, n, room.a), widen(pg + i, n, room.g), n, out);
      narrow(out, n, pd + i);
    });
  });
}

void unary_both(Unary op, const Tensor& x, Tensor& y, Tensor& g) {
  visit_float(x.dtype(), [&]<class T>(Type<T>) {
    const auto map = loops_of<acc_t<T>>(op).both;
    T *py = y.data<T>(), *pg = g.data<T>();
    for_each_block(x.numel(), [map, px = x.data<T>(), py, pg](int64_t i, int64_t n) {
      auto& room = Blocks<T>::of_this_thread();
      auto *out = landing(py + i, room.y), *d = landing(pg + i, room.g);
      widen(pg + i, n, d);
      map(widen(px + i, n, room.a), n, out, d);
      narrow(out, n, py + i);
      narrow(d, n, pg + i);
    });
  });
}

void binary(Binary op, const Tensor& a, const Tensor& b, Tensor& y) {
  const StridedLoop<3> loop(y.shape(), {a.strides(), b.strides(), y.strides()});
  visit_float(y.dtype(), [&]<class T>(Type<T>) {
    const auto zip = loops_of<acc_t<T>>(op).value;
    const T *pa = a.data<T>(), *pb = b.data<T>();
    T* py = y.data<T>();
    loop.for_each_run(kBlock, [&](const std::array<int64_t, 3>& at, int64_t n) {
      auto& room = Blocks<T>::of_this_thread();
      auto* out = landing(py + at[2], room.y);
      zip(gather(pa + at[0], loop.stride[0][0], n, room.a),
          gather(pb + at[1], loop.stride[1][0], n, room.b), n, out);
      narrow(out, n, py + at[2]);
    });
  });
}

void binary_grad(Binary op, int operand, const Tensor& a, const Tensor& b, const Tensor& g,
                 Tensor& d) {
  const StridedLoop<4> loop(d.shape(), {a.strides(), b.strides(), g.strides(), d.strides()});
  visit_float(d.dtype(), [&]<class T>(Type<T>) {
    const auto zip = loops_of<acc_t<T>>(op).grad[operand];
    const T *pa = a.data<T>(), *pb = b.data<T>(), *pg = g.data<T>();
    T* pd = d.data<T>();
    loop.for_each_run(kBlock, [&](const std::array<int64_t, 4>& at, int64_t n) {
      auto& room = Blocks<T>::of_this_thread();
      auto* out = landing(pd + at[3], room.y);
      zip(gather(pa + at[0], loop.stride[0][0], n, room.a),
          gather(pb + at[1], loop.stride[1][0], n, room.b),
          gather(pg + at[2], loop.stride[2][0], n, room.g), n, out);
      narrow(out, n, pd + at[3]);
    });
  });
}

void where(const Tensor& mask, const Tensor& a, const Tensor& b, Tensor& y) {
  const StridedLoop<4> loop(y.shape(), {mask.strides(), a.strides(), b.strides(), y.strides()});
  visit_float(y.dtype(), [&]<class T>(Type<T>) {
    const auto* pm = mask.data<uint8_t>();
    const T *pa = a.data<T>(), *pb = b.data<T>();
    T* py = y.data<T>();
    const auto step = [&](size_t array) { return loop.stride[array][0]; };
    loop.for_each_run(kBlock, [&](const std::array<int64_t, 4>& at, int64_t n) {
      for (int64_t i = 0; i < n; ++i) {
        const T* chosen =
            pm[at[0] + i * step(0)] ? pa + at[1] + i * step(1) : pb + at[2] + i * step(2);
        py[at[3] + i * step(3)] = *chosen;
      }
    });
  });
}

}  // namespace diptych::cpu
