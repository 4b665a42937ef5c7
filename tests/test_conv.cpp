// tests/test_conv.cpp — convolution and its two gradients against plain loops in f64.
#include "tests/kernel_reference.h"

namespace diptych::test {
namespace {

struct Case {
  Shape x, w;  // (B, H, W, C), (O, kh, kw, C)
  Window window;

  Shape places() const {
    return {x[0], window.places(x[1], w[1]), window.places(x[2], w[2]), w[0]};
  }
};

/// visit(index in x, index in w, index in y) for all that belong together.
template <class F>
void for_each_triple(const Case& c, F visit) {
  const Shape y = c.places();
  const auto [s, p] = c.window;
  for (int64_t m = 0; m < y[0] * y[1] * y[2]; ++m)
    for (int64_t k = 0; k < c.w[0] * c.w[1] * c.w[2]; ++k) {
      const int64_t row = m / y[2] % y[1] * s + k / c.w[2] % c.w[1] - p;
      const int64_t column = m % y[2] * s + k % c.w[2] - p;
      if (row < 0 || row >= c.x[1] || column < 0 || column >= c.x[2]) continue;
      const int64_t pixel = (m / y[2] / y[1] * c.x[1] + row) * c.x[2] + column;
      for (int64_t i = 0; i < c.x[3]; ++i)
        visit(at(pixel * c.x[3] + i), at(k * c.x[3] + i), at(m * y[3] + k / (c.w[1] * c.w[2])));
    }
}

/// A tensor whose memory begins `shift` elements behind that of an allocation.
Tensor shifted(const Shape& shape, DType t, uint64_t stream, int64_t shift) {
  const Tensor all = normal({shape.numel() + shift}, t, stream);
  return all.slice(0, shift, shift + shape.numel()).view(shape);
}

void check_conv(const Case& c, DType t, int64_t shift = 0) {
  INFO("x ", c.x, " w ", c.w, " stride ", c.window.stride, " padding ", c.window.padding);
  const Tensor x = shifted(c.x, t, 1, shift), w = normal(c.w, t, 2), g = normal(c.places(), t, 3);
  const Values vx = values(x), vw = values(w), vg = values(g);
  Values y(vg.size()), dx(vx.size()), dw(vw.size());
  for_each_triple(c, [&](size_t i, size_t j, size_t k) {
    y[k] += vx[i] * vw[j];
    dx[i] += vg[k] * vw[j];
    dw[j] += vg[k] * vx[i];
  });
  Tensor got_y = full(c.places(), NAN, t), got_dx = full(c.x, NAN, t), got_dw = full(c.w, NAN, t);
  kernel::conv2d(here, x, w, c.window, got_y);
  kernel::conv2d_grad_input(here, g, w, c.window, got_dx);
  kernel::conv2d_grad_weight(here, x, g, c.window, got_dw);
  const auto root = [](int64_t terms) { return std::sqrt(1.0 + static_cast<double>(terms)); };
  const int64_t taps = c.w[1] * c.w[2], places = c.places()[0] * c.places()[1] * c.places()[2];
  check_close(got_y, y, root(taps * c.w[3]));
  check_close(got_dx, dx, root(taps * c.w[0]));
  check_close(got_dw, dw, root(places));
}

}  // namespace

KERNEL_TEST("conv2d: strides, paddings, kernels of all forms, in all dtypes") {
  for (DType t : kFloats)
    for (int64_t stride : {1, 2, 3})
      for (int64_t padding : {0, 1, 2, 4}) {
        check_conv({{2, 7, 9, 3}, {5, 3, 3, 3}, {stride, padding}}, t);
        check_conv({{1, 6, 5, 4}, {3, 1, 1, 4}, {stride, padding}}, t);
        check_conv({{2, 5, 8, 2}, {3, 2, 4, 2}, {stride, padding}}, t);
      }
}

KERNEL_TEST("conv2d: patches, and one place for the whole picture") {
  for (DType t : kFloats) {
    check_conv({{2, 32, 48, 3}, {7, 16, 16, 3}, {16, 0}}, t);
    check_conv({{3, 33, 20, 1}, {4, 16, 16, 1}, {16, 0}}, t);
    check_conv({{2, 5, 6, 7}, {3, 5, 6, 7}, {1, 0}}, t);
  }
}

KERNEL_TEST("conv2d: more results and longer sums than fit one tile or one part") {
  for (DType t : kFloats) {
    check_conv({{1, 12, 11, 5}, {67, 3, 3, 5}, {1, 1}}, t);
    check_conv({{1, 3, 3, 130}, {9, 3, 3, 130}, {2, 1}}, t);
    check_conv({{2, 31, 37, 2}, {3, 2, 2, 2}, {1, 1}}, t);
  }
}

KERNEL_TEST("conv2d: pictures that begin anywhere in memory") {
  for (DType t : kFloats)
    for (int64_t shift : {1, 2, 4}) check_conv({{1, 6, 7, 8}, {4, 3, 3, 8}, {1, 1}}, t, shift);
}

KERNEL_TEST("conv2d: nothing to see, nothing to sum") {
  for (DType t : kFloats) {
    check_conv({{0, 4, 4, 2}, {3, 3, 3, 2}, {1, 1}}, t);
    check_conv({{2, 4, 4, 2}, {0, 3, 3, 2}, {1, 1}}, t);
    check_conv({{2, 4, 4, 0}, {3, 3, 3, 0}, {1, 1}}, t);
    check_conv({{2, 0, 3, 2}, {3, 2, 2, 2}, {1, 2}}, t);
  }
}

KERNEL_TEST("conv2d: the same bits on every run") {
  for (DType t : kFloats) {
    const Tensor x = normal({2, 31, 37, 2}, t, 1), g = normal({2, 32, 38, 3}, t, 2);
    check_same_bits([&] {
      Tensor dw = full({3, 2, 2, 2}, NAN, t);
      kernel::conv2d_grad_weight(here, x, g, {1, 1}, dw);
      return std::vector{dw};
    });
  }
}

}  // namespace diptych::test
