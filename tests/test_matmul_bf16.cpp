// tests/test_matmul_bf16.cpp — products of bf16 on the CPU, by the processor's own instruction and
// without it, and sums that stay f32.
#include <array>
#include <bit>

#include "tensor/cpu/gemm_product.h"
#include "tensor/scalar_ops.h"
#include "tests/kernel_reference.h"

namespace diptych::test {
namespace {

/// Σ a b and Σ |a b| for every element of a product of two matrices.
struct Reference {
  Values sum, size;

  Reference(const Tensor& a, const Tensor& b) {
    const Values va = values(a), vb = values(b);
    const int64_t k = a.dim(1), n = b.dim(1);
    for (int64_t i = 0; i < a.dim(0) * n; ++i) {
      double s = 0, t = 0;
      for (int64_t p = 0; p < k; ++p) {
        const double term = va[at(i / n * k + p)] * vb[at(p * n + i % n)];
        s += term;
        t += std::fabs(term);
      }
      sum.push_back(s);
      size.push_back(t);
    }
  }
};

/// Whatever the order, K fused multiply-adds in f32 err by K 2⁻²⁴ Σ |a b| at most, and a result in
/// bf16 by 2⁻⁸ of itself.
void check_bound(const Tensor& c, const Reference& want, int64_t k) {
  const Values got = values(c);
  const double rounding = c.dtype() == DType::bf16 ? 0x1p-8 : 0;
  double worst = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double sums = static_cast<double>(k + 1) * 0x1p-24 * want.size[i];
    const double bound = sums + rounding * (std::fabs(want.sum[i]) + sums) + 0x1p-126;
    worst = std::max(worst, std::fabs(got[i] - want.sum[i]) / bound);
    if (std::isnan(got[i])) worst = INFINITY;
  }
  CHECK_MESSAGE(worst <= 1, c.dtype(), " ", c.shape(), " K ", k);
}

/// The product with factors P, so that both ways are tried on a machine that has both.
template <class P, class C>
Tensor product(const Tensor& a, const Tensor& b) {
  Tensor c = full({a.dim(0), b.dim(1)}, NAN, dtype_of<C>());
  const auto matrix = [](const Tensor& x) {
    return cpu::Matrix<const bf16>{x.data<bf16>(), x.strides()[0], x.strides()[1]};
  };
  cpu::Product<bf16, C, P>(a.dim(0), b.dim(1), a.dim(1), {})
      .run(matrix(a), matrix(b), c.data<C>(), 0);
  return c;
}

using Own = cpu::factor_t<bf16>;

/// Every way to multiply a and b.
std::array<Tensor, 4> products(const Tensor& a, const Tensor& b) {
  return {product<float, bf16>(a, b), product<float, float>(a, b), product<Own, bf16>(a, b),
          product<Own, float>(a, b)};
}

Tensor matrix(int64_t rows, int64_t columns, bool transposed, uint64_t stream) {
  return transposed ? normal({columns, rows}, DType::bf16, stream).transpose(0, 1)
                    : normal({rows, columns}, DType::bf16, stream);
}

void check_all(const Tensor& a, const Tensor& b) {
  INFO("a ", a.shape(), " ", a.strides(), "  b ", b.shape(), " ", b.strides());
  const Reference want(a, b);
  for (const Tensor& c : products(a, b)) check_bound(c, want, a.dim(1));
}

}  // namespace

TEST_CASE("bf16 matmul: every layout, odd and even, within the bound of f32 sums") {
  for (const bool ta : {false, true})
    for (const bool tb : {false, true})
      for (int64_t m : {1, 8, 13, 50})
        for (int64_t n : {1, 16, 33, 97})
          for (int64_t k : {1, 2, 3, 16, 31, 64, 75})
            check_all(matrix(m, k, ta, 1), matrix(k, n, tb, 2));
}

TEST_CASE("bf16 matmul: several passes over K, also where the last is odd") {
  for (const bool ta : {false, true})
    for (int64_t k : {1535, 1536, 1537, 1600, 3073, 3075})
      check_all(matrix(21, k, ta, 1), matrix(k, 50, !ta, 2));
}

TEST_CASE("bf16 matmul: slices whose rows begin at odd places or are an odd number apart") {
  const Tensor a = normal({40, 61}, DType::bf16, 1), b = normal({60, 83}, DType::bf16, 2);
  for (int64_t first : {0, 1, 2})
    for (int64_t k : {30, 31})
      check_all(a.slice(1, first, first + k), b.slice(0, first, first + k).slice(1, 1, 51));
  const Tensor even = normal({40, 62}, DType::bf16, 1);
  for (int64_t first : {0, 1, 2}) check_all(even.slice(1, first, first + 30), b.slice(0, 2, 32));
}

TEST_CASE("bf16 matmul: infinities and NaN reach their own rows and columns, also past an odd K") {
  for (int64_t k : {30, 31}) {
    Tensor a = normal({20, k}, DType::bf16, 1), b = normal({k, 60}, DType::bf16, 2);
    a.slice(0, 11, 12).slice(1, k - 1, k).fill_(NAN);
    a.slice(0, 3, 4).slice(1, k - 1, k).fill_(INFINITY);
    b.slice(0, 7, 8).slice(1, 59, 60).fill_(-INFINITY);
    for (const Tensor& c : products(a, b)) {
      const Values v = values(c);
      for (int64_t i = 0; i < c.numel(); ++i)
        CHECK(std::isfinite(v[at(i)]) == (i / 60 != 11 && i / 60 != 3 && i % 60 != 59));
      CHECK(std::isnan(v[at(11 * 60)]));
      CHECK(std::isinf(v[at(3 * 60)]));
      CHECK(std::isinf(v[59]));
    }
  }
}

TEST_CASE("bf16 matmul: subnormal numbers are zero to the instruction and themselves without it") {
  const Tensor a = full({1, 2}, 0x1p-130, DType::bf16), b = full({2, 1}, 0x1p120, DType::bf16);
  CHECK(values(product<float, float>(a, b)) == Values{0x1p-9});
  const bool instruction = std::is_same_v<Own, cpu::BfPair>;
  CHECK(values(product<Own, float>(a, b)) == Values{instruction ? 0 : 0x1p-9});
  const Tensor small = full({1, 2}, 0x1p-70, DType::bf16), turned = small.transpose(0, 1);
  CHECK(values(product<float, float>(small, turned)) == Values{0x1p-139});
  CHECK(values(product<Own, float>(small, turned)) == Values{instruction ? 0 : 0x1p-139});
}

#if defined(__AVX512BF16__)
TEST_CASE("bf16 matmul: a pair is two fused multiply-adds, the second term's first") {
  const Tensor random = normal({4 * 4096}, DType::bf16, 1), start = normal({4096}, DType::f32, 2);
  const bf16* x = random.data<bf16>();
  for (int64_t i = 0; i < start.numel(); ++i, x += 4) {
    const float s = start.data<float>()[i];
    const cpu::BfPair a{x[0], x[1]}, b{x[2], x[3]};
    const float got = cpu::multiply_add(cpu::spread(&a), cpu::spread(&b), cpu::vec<float>{} + s)[0];
    CHECK(std::bit_cast<uint32_t>(got) ==
          std::bit_cast<uint32_t>(std::fma(a.even, b.even, std::fma(a.odd, b.odd, s))));
  }
}
#endif

TEST_CASE("matmul: sums of 16-bit factors that stay f32, with everything on the way out") {
  for (DType t : {DType::f16, DType::bf16})
    for (const Shape& s : {Shape{21, 33, 50}, Shape{9, 3301, 35}}) {
      const Tensor a = normal({s[0], s[1]}, t, 1), b = normal({s[1], s[2]}, t, 2);
      const Tensor bias = normal({s[2]}, t, 3), add = normal({s[0], s[2]}, DType::f32, 4);
      Tensor c = full({s[0], s[2]}, NAN), sums = full({s[0]}, NAN);
      kernel::matmul(Device::cpu, a, b, {bias, add, Unary::relu, sums}, c);
      Values want = Reference(a, b).sum, want_sums(at(s[0]), 0.0);
      const Values vb = values(bias), vadd = values(add), va = values(a);
      for (size_t i = 0; i < want.size(); ++i)
        want[i] = std::fmax(want[i] + vb[i % vb.size()] + vadd[i], 0);
      for (size_t i = 0; i < va.size(); ++i) want_sums[i / at(s[1])] += va[i];
      const double slack = std::sqrt(static_cast<double>(s[1]));
      check_close(c, want, slack);
      check_close(sums, want_sums, slack);
    }
}

TEST_CASE("matmul: gradients of weights in f32 from 16 bits, summed in two halves or not") {
  for (DType t : {DType::f16, DType::bf16})
    for (int64_t k : {511, 513, 1701, 3500})
      for (const Shape& s : {Shape{7, 50}, Shape{96, 40}, Shape{1, 3100}}) {
        const Tensor a = normal({k, s[0]}, t, 1).transpose(0, 1), b = normal({k, s[1]}, t, 2);
        Tensor c = full(s, NAN), sums = full({s[0]}, NAN);
        kernel::matmul(Device::cpu, a, b, {{}, {}, {}, sums}, c);
        check_bound(c, Reference(a, b), k);
        const Tensor ones = full({k, 1}, 1, t);
        check_bound(sums.view({s[0], 1}), Reference(a, ones), k);
      }
}

TEST_CASE("matmul: row sums in f32 where b has no columns") {
  const Tensor a = normal({33, 5}, DType::bf16, 1).transpose(0, 1);
  Tensor c = empty({5, 0}), sums = full({5}, NAN);
  kernel::matmul(Device::cpu, a, empty({33, 0}, DType::bf16), {{}, {}, {}, sums}, c);
  check_bound(sums.view({5, 1}), Reference(a, full({33, 1}, 1, DType::bf16)), 33);
}

TEST_CASE("matmul: 16-bit factors give the same bits for any number of threads") {
  for (DType t : {DType::f16, DType::bf16})
    for (const Shape& s : {Shape{130, 1700, 300}, Shape{5, 400, 2000}, Shape{96, 3501, 100}}) {
      const Tensor a = normal({s[1], s[0]}, t, 1).transpose(0, 1), b = normal({s[1], s[2]}, t, 2);
      check_same_bits([&] {
        Tensor c = empty({s[0], s[2]}), d = empty({s[0], s[2]}, t), sums = empty({s[0]});
        kernel::matmul(Device::cpu, a, b, {{}, {}, {}, sums}, c);
        kernel::matmul(Device::cpu, a, b, {}, d);
        return std::vector{c, d, sums};
      });
    }
}

}  // namespace diptych::test
