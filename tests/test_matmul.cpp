// tests/test_matmul.cpp — the packed matrix product against three loops in f64.
#include <set>

#include "tensor/scalar_ops.h"
#include "tests/kernel_reference.h"

namespace diptych::test {
namespace {

/// c = a b + bias + start, over any batch axes.
Values naive(const Tensor& a, const Tensor& b, const Tensor& bias, const Values& start,
             const Shape& shape) {
  const Values va = values(a), vb = values(b);
  const int64_t m = a.dim(-2), k = a.dim(-1), n = b.dim(-1);
  Values c = start.empty() ? Values(at(shape.numel()), 0.0) : start;
  for (int64_t i = 0; i < shape.numel(); ++i) {
    const int64_t j = i % n, row = i / n, batch = row / m;
    double sum = bias.defined() ? values(bias)[at(j)] : 0.0;
    for (int64_t p = 0; p < k; ++p) sum += va[at(row * k + p)] * vb[at((batch * k + p) * n + j)];
    c[at(i)] += sum;
  }
  return c;
}

Values row_sums(const Tensor& a) {
  const Values va = values(a);
  Values sums(at(a.dim(0)), 0.0);
  for (size_t i = 0; i < va.size(); ++i) sums[i / at(a.dim(1))] += va[i];
  return sums;
}

Shape product_shape(const Tensor& a, const Tensor& b) {
  Shape shape = a.shape();
  shape[a.rank() - 1] = b.dim(-1);
  return shape;
}

void check_product_in(DType dtype, const Tensor& a, const Tensor& b, bool with_bias,
                      bool accumulate) {
  const Shape shape = product_shape(a, b);
  const Tensor bias = with_bias ? normal({b.dim(-1)}, a.dtype(), 3) : Tensor();
  Tensor c = accumulate ? normal(shape, dtype, 4) : full(shape, NAN, dtype);
  const Values want = naive(a, b, bias, accumulate ? values(c) : Values(), shape);
  const Tensor sums = a.rank() == 2 ? full({a.dim(0)}, NAN, dtype) : Tensor();
  kernel::matmul(here, a, b, {bias, accumulate ? c : Tensor(), {}, sums}, c);
  INFO("a ", a.shape(), " ", a.strides(), "  b ", b.shape(), " ", b.strides(), "  c ", dtype);
  const double slack = std::sqrt(1.0 + static_cast<double>(a.dim(-1)));
  check_close(c, want, slack);
  if (sums.defined()) check_close(sums, row_sums(a), slack);
}

/// c of the factors' dtype, and of that of sums.
void check_product(const Tensor& a, const Tensor& b, bool with_bias = false,
                   bool accumulate = false) {
  for (const DType dtype : std::set{a.dtype(), acc_dtype(a.dtype())})
    check_product_in(dtype, a, b, with_bias, accumulate);
}

Tensor transposed(Shape shape, DType dtype, uint64_t stream) {
  return normal({shape[1], shape[0]}, dtype, stream).transpose(0, 1);
}

}  // namespace

KERNEL_TEST("matmul: every tile size, primes, ones and nothing, in all dtypes") {
  for (DType t : kFloats)
    for (int64_t m : {0, 1, 7, 8, 13, 50})
      for (int64_t n : {0, 1, 16, 17, 47, 48, 97})
        for (int64_t k : {0, 1, 8, 31})
          check_product(normal({m, k}, t, 1), normal({k, n}, t, 2), m % 2 == 0, k % 2 == 1);
}

KERNEL_TEST("matmul: K, M and N beyond one cache block") {
  for (DType t : kFloats) {
    for (bool accumulate : {false, true}) {
      check_product(normal({9, 1201}, t, 1), normal({1201, 35}, t, 2), true, accumulate);
      check_product(normal({401, 5}, t, 1), normal({5, 67}, t, 2), true, accumulate);
      check_product(normal({3, 5}, t, 1), normal({5, 3203}, t, 2), true, accumulate);
    }
  }
}

KERNEL_TEST("matmul: transposed, sliced and expanded operands need no copy") {
  for (DType t : kFloats) {
    check_product(transposed({37, 29}, t, 1), normal({29, 50}, t, 2));
    check_product(normal({37, 29}, t, 1), transposed({29, 50}, t, 2));
    check_product(transposed({37, 29}, t, 1), transposed({29, 50}, t, 2), true, true);
    const Tensor a = normal({40, 60}, t, 1), b = normal({60, 80}, t, 2);
    check_product(a.slice(0, 3, 36).slice(1, 10, 41), b.slice(0, 2, 33).slice(1, 5, 54));
    check_product(normal({1, 29}, t, 1).expand({20, 29}), normal({29, 1}, t, 2).expand({29, 50}));
    const Tensor every_third = normal({19, 20, 3}, t, 1).slice(2, 1, 2).transpose(1, 2);
    check_product(every_third, normal({20, 18}, t, 2).expand({19, 20, 18}));
  }
}

KERNEL_TEST("matmul: batches, also expanded, transposed and of several axes") {
  for (DType t : kFloats) {
    check_product(normal({5, 7, 9}, t, 1), normal({5, 9, 11}, t, 2), true, true);
    check_product(normal({4, 7, 9}, t, 1), normal({9, 11}, t, 2).expand({4, 9, 11}), true);
    check_product(normal({7, 9}, t, 1).expand({4, 7, 9}), normal({4, 9, 11}, t, 2));
    check_product(normal({2, 7, 3, 9}, t, 1).transpose(1, 2),
                  normal({2, 3, 11, 9}, t, 2).transpose(2, 3));
    check_product(normal({7, 4, 9}, t, 1).transpose(0, 1),
                  normal({9, 11}, t, 2).expand({4, 9, 11}));
    check_product(normal({2, 3, 1, 9}, t, 1), normal({3, 9, 11}, t, 2).expand({2, 3, 9, 11}));
  }
}

KERNEL_TEST("matmul: an addend and a function of the sum, over several blocks of K and panels") {
  for (DType t : kFloats)
    for (const Shape& s : {Shape{7, 9, 50}, Shape{21, 1601, 35}, Shape{200, 40, 64}}) {
      const Tensor a = normal({s[0], s[1]}, t, 1), b = normal({s[1], s[2]}, t, 2);
      const Tensor bias = normal({s[2]}, t, 3), add = normal({s[0], s[2]}, t, 4);
      Values want = naive(a, b, bias, values(add), {s[0], s[2]});
      for (double& v : want) v = std::fmax(v, 0);
      Tensor c = full({s[0], s[2]}, NAN, t);
      kernel::matmul(here, a, b, {bias, add, Unary::relu}, c);
      check_close(c, want, std::sqrt(1.0 + static_cast<double>(s[1])));
    }
}

KERNEL_TEST("matmul: thin products, whose right factor is read in place or packed by one thread") {
  for (int64_t m : {1, 8, 16, 17, 128, 129})
    for (int64_t n : {48, 64, 100, 160}) {
      const Tensor b = normal({70, n + 16}, DType::f32, 2);
      check_product(normal({m, 70}, DType::f32, 1), b.slice(1, 0, n), true);
      check_product(transposed({m, 70}, DType::f32, 1), b.slice(1, 16, n + 16));
    }
}

KERNEL_TEST("matmul: gradients of weights, sums over the rows of two tall matrices") {
  for (DType t : kFloats)
    for (int64_t k : {511, 512, 513, 1700, 3500})
      for (const Shape& s : {Shape{1, 1}, Shape{7, 50}, Shape{150, 40}, Shape{96, 96}})
        check_product(transposed({s[0], k}, t, 1), normal({k, s[1]}, t, 2));
}

KERNEL_TEST("matmul: a small right factor that every thread packs for itself, and a larger one") {
  for (int64_t k : {96, 400}) check_product(normal({2100, k}, DType::f32, 1), normal({k, 200}));
}

KERNEL_TEST("matmul: 16-bit results are rounded once, not after each block of K") {
  // 2048 ones reach the end of f16's exact integers; adding 1 to 2048 in f16 would change nothing.
  const Tensor a = full({1, 2304}, 1, DType::f16), b = full({2304, 20}, 1, DType::f16);
  Tensor c = full({1, 20}, 2, DType::f16);
  kernel::matmul(here, a, b, {{}, c}, c);
  CHECK(values(c) == Values(20, 2306));
}

KERNEL_TEST("matmul: NaN and infinity reach only their own rows and columns") {
  Tensor a = normal({20, 30}, DType::f32, 1), b = normal({30, 60}, DType::f32, 2);
  a.slice(0, 11, 12).slice(1, 4, 5).fill_(NAN);
  b.slice(0, 7, 8).slice(1, 59, 60).fill_(INFINITY);
  Tensor c = empty({20, 60});
  kernel::matmul(here, a, b, {}, c);
  const Values v = values(c);
  for (int64_t i = 0; i < c.numel(); ++i)
    CHECK(std::isfinite(v[at(i)]) == (i / 60 != 11 && i % 60 != 59));
}

KERNEL_TEST("matmul: the same bits for any number of threads, and for any batching") {
  for (const Shape& s : {Shape{130, 700, 300}, Shape{5, 400, 2000}, Shape{3000, 64, 10}}) {
    const Tensor a = normal({s[0], s[1]}, DType::f32, 1), b = normal({s[1], s[2]}, DType::f32, 2);
    check_same_bits([&] {
      Tensor c = empty({s[0], s[2]}), d = empty({1, s[2]});
      kernel::matmul(here, a, b, {}, c);
      kernel::matmul(here, a.slice(0, 4, 5), b, {}, d);
      CHECK(values(c.slice(0, 4, 5)) == values(d));
      return std::vector{c};
    });
  }
  for (const Shape& s : {Shape{96, 1100, 100}, Shape{8, 3500, 40}}) {
    const Tensor a = transposed({s[0], s[1]}, DType::f32, 1), b = normal({s[1], s[2]});
    check_same_bits([&] {
      Tensor c = empty({s[0], s[2]});
      kernel::matmul(here, a, b, {}, c);
      return std::vector{c};
    });
  }
  const Tensor a = normal({30, 20, 10}, DType::f32, 1), b = normal({30, 10, 20}, DType::f32, 2);
  check_same_bits([&] {
    Tensor c = empty({30, 20, 20});
    kernel::matmul(here, a, b, {}, c);
    return std::vector{c};
  });
}

}  // namespace diptych::test
