// tests/test_kernels_training.cpp — the kernels that only training calls, against formulas in f64.
#include <limits>

#include "tests/kernel_reference.h"

namespace diptych::test {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// A parameter, its gradient and its moments.
struct Parts {
  Parts(int64_t n, DType t)
      : p(normal({n}, t, 1)), g(normal({n}, t, 2)), m(zeros({n}, t)), v(zeros({n}, t)) {}

  AdamWSlot slot(int64_t begin, int64_t end, bool decays) const {
    const auto part = [=](const Tensor& x) { return x.slice(0, begin, end); };
    return {part(g), part(m), part(v), part(p), decays};
  }
  AdamWSlot slot() const { return slot(0, p.dim(0), true); }

  Tensor p, g, m, v;
};

AdamWStep step_of(double max_norm, int64_t t) { return {1e-2, 0.9, 0.98, 1e-6, 0.2, max_norm, t}; }

Tensor none;  // what nobody wants

Tensor squares(double value) { return full({}, value, DType::f64); }

}  // namespace

KERNEL_TEST("adamw_step: ten steps equal the formula in f64") {
  for (DType t : {DType::f32, DType::f64}) {
    Parts parts(2001, t);
    Values wp = values(parts.p), wm(2001, 0.0), wv(2001, 0.0);
    for (int64_t step = 1; step <= 10; ++step) {
      parts.g = normal({2001}, t, static_cast<uint64_t>(step + 1));
      const Values vg = values(parts.g);
      kernel::adamw_step(
          here, step_of(1, step), squares(4),
          {parts.slot(0, 1200, true), parts.slot(1200, 1200, true), parts.slot(1200, 2001, false)},
          none);
      for (size_t i = 0; i < wp.size(); ++i) {
        const double grad = vg[i] / (2 + 1e-6);
        wm[i] = 0.9 * wm[i] + 0.1 * grad;
        wv[i] = 0.98 * wv[i] + 0.02 * grad * grad;
        const double mhat = wm[i] / (1 - std::pow(0.9, step));
        const double vhat = wv[i] / (1 - std::pow(0.98, step));
        wp[i] -= 1e-2 * ((i < 1200 ? 0.2 : 0) * wp[i] + mhat / (std::sqrt(vhat) + 1e-6));
      }
    }
    check_close(parts.p, wp);
    check_close(parts.m, wm);
    check_close(parts.v, wv);
  }
}

KERNEL_TEST("adamw_step: gradients within the norm, and without one, are taken as they are") {
  for (const double max_norm : {0.0, 2.0, 3.0}) {
    const Parts parts(5, DType::f64);
    const Values g = values(parts.g);
    kernel::adamw_step(here, step_of(max_norm, 1), squares(4), {parts.slot()}, none);
    for (size_t i = 0; i < g.size(); ++i)
      CHECK(values(parts.m)[i] == doctest::Approx(0.1 * g[i]).epsilon(1e-12));
  }
}

KERNEL_TEST("adamw_step: nothing is touched if the sum of squares is not finite") {
  for (DType t : {DType::f32, DType::f64}) {
    for (const double sum : {kInfinity, std::nan("")}) {
      const Parts parts(1000, t);
      const Tensor before = parts.p.clone();
      kernel::adamw_step(here, step_of(1, 1), squares(sum), {parts.slot()}, none);
      CHECK(values(parts.p) == values(before));
      CHECK(values(parts.m) == Values(1000, 0.0));
      CHECK(values(parts.v) == Values(1000, 0.0));
    }
  }
}

KERNEL_TEST("adamw_step: a parameter ends within its bounds, those beside it do not care") {
  for (DType t : {DType::f32, DType::f64}) {
    const Parts free(1000, t), bounded(1000, t);
    AdamWSlot slot = bounded.slot();
    slot.low = -0.25;
    slot.high = 0.5;
    kernel::adamw_step(here, step_of(0, 1), squares(1), {free.slot(), slot, free.slot(3, 3, true)},
                       none);
    Values want = values(free.p);
    CHECK(*std::max_element(want.begin(), want.end()) > 1);
    for (double& x : want) x = std::min(std::max(x, -0.25), 0.5);
    CHECK(values(bounded.p) == want);
  }
}

KERNEL_TEST("dropout: a part that begins at any word is that part of the whole") {
  const Seed seed{3, 4};
  const double rate = 0.5;
  for (DType t : kFloats) {
    const Tensor x = normal({5000}, t);
    Tensor whole = empty({5000}, t);
    kernel::dropout(here, seed, rate, 0, x, whole);
    for (const int64_t begin : {0, 1, 2, 3, 4, 7, 1024, 1030, 4997}) {
      for (const int64_t end : {begin + 1, begin + 3, int64_t{5000}}) {
        Tensor part = empty({end - begin}, t);
        kernel::dropout(here, seed, rate, begin, x.slice(0, begin, end), part);
        CHECK(values(part) == values(whole.slice(0, begin, end)));
      }
    }
  }
}

KERNEL_TEST("normalize_pixels: each byte becomes the entry of its channel, channels come first") {
  for (DType t : kFloats) {
    for (const Shape& shape : {Shape{2, 3, 5, 3}, Shape{1, 16, 16, 1}, Shape{3, 1, 7, 4},
                               Shape{0, 4, 4, 3}, Shape{2, 40, 40, 3}}) {
      const int64_t B = shape[0], H = shape[1], W = shape[2], C = shape[3];
      const Tensor table = normal({C, 256}, t);
      const Tensor x = uniform(shape, 0, 256, Seed{3, 0}, DType::f64, here).to(DType::u8);
      Tensor y = empty({B, C, H, W}, t);
      kernel::normalize_pixels(here, x, table, y);
      const Values entries = values(table), bytes = values(x);
      Values want;
      for (int64_t plane = 0; plane < B * C; ++plane)
        for (int64_t i = 0; i < H * W; ++i) {
          const int64_t b = plane / C, c = plane % C;
          const double byte = bytes[at((b * H * W + i) * C + c)];
          want.push_back(entries[at(256 * c) + static_cast<size_t>(byte)]);
        }
      CHECK(values(y) == want);
    }
  }
}

}  // namespace diptych::test
