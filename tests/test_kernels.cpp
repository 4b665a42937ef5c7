// tests/test_kernels.cpp — the CPU kernels, except matmul and attention, against plain loops in
// f64.
#include <numeric>

#include "tensor/scalar_ops.h"
#include "tests/kernel_reference.h"

namespace diptych::test {
namespace {

/// Row i of a matrix of width d.
Values row(const Values& x, int64_t i, int64_t d) {
  return Values(x.begin() + i * d, x.begin() + (i + 1) * d);
}

double dot(const Values& a, const Values& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

double log_sum_exp(const Values& x) {
  const double m = *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (double v : x) sum += std::exp(v - m);
  return m + std::log(sum);
}

/// f applied to rows of x (and g), the results one after the other.
Values by_rows(const Tensor& x, const Tensor& g, const std::function<Values(Values, Values)>& f) {
  const int64_t n = x.dim(0), d = x.dim(1);
  const Values vx = values(x), vg = g.defined() ? values(g) : vx;
  Values out;
  for (int64_t i = 0; i < n; ++i) {
    const Values y = f(row(vx, i, d), row(vg, i, d));
    out.insert(out.end(), y.begin(), y.end());
  }
  return out;
}

const std::vector<Shape> kRowShapes = {{1, 1}, {3, 7}, {5, 96}, {4, 257}, {300, 33}, {0, 5}};

}  // namespace

KERNEL_TEST("unary: contiguous loops match the functors in f64") {
  for (DType t : kFloats) {
    for (int64_t n : {0, 1, 7, 512, 5000}) {
      const Tensor x = normal({n}, t);
      Tensor y = empty_like(x);
      kernel::unary(here, Unary::quick_gelu, x, y);
      Values want = values(x);
      for (double& v : want) v = scalar::QuickGelu::f(v);
      check_close(y, want);
      kernel::unary_grad(here, Unary::neg, {}, x, y);
      for (size_t i = 0; i < want.size(); ++i) want[i] = -values(x)[i];
      check_close(y, want);
    }
  }
}

KERNEL_TEST("binary: same shape, scalars, rows, columns, transposes and slices") {
  for (DType t : kFloats) {
    const Tensor full_a = normal({9, 40}, t, 1), same = normal({9, 40}, t, 2);
    const Tensor others[] = {same,
                             normal({1}, t, 3).expand({9, 40}),
                             normal({40}, t, 3).expand({9, 40}),
                             normal({9, 1}, t, 3).expand({9, 40}),
                             normal({40, 9}, t, 3).transpose(0, 1),
                             normal({9, 50}, t, 3).slice(1, 6, 46)};
    for (const Tensor& b : others) {
      const Values va = values(full_a), vb = values(b), vg = values(same);
      Tensor y = empty({9, 40}, t), da = empty({9, 40}, t), db = empty({9, 40}, t);
      kernel::binary(here, Binary::sub, full_a, b, y);
      kernel::binary_grad(here, Binary::mul, 0, full_a, b, same, da);
      kernel::binary_grad(here, Binary::mul, 1, full_a, b, same, db);
      Values difference = va, grad_a = va, grad_b = va;
      for (size_t i = 0; i < va.size(); ++i) {
        difference[i] = va[i] - vb[i];
        grad_a[i] = vg[i] * vb[i];
        grad_b[i] = vg[i] * va[i];
      }
      check_close(y, difference);
      check_close(da, grad_a);
      check_close(db, grad_b);
    }
  }
}

KERNEL_TEST("copy: converts between all dtypes and follows any strides") {
  const DType all[] = {DType::f32, DType::f64, DType::f16, DType::bf16, DType::i64, DType::u8};
  const Tensor x = arange(6 * 5 * 4, DType::i64, here).view({6, 5, 4});
  for (DType from : all) {
    for (DType to : all) {
      const Tensor source = x.to(from);
      Tensor y = zeros({4, 5, 6}, to);
      Tensor target = y.transpose(0, 2);
      kernel::copy(here, source, target);
      CHECK(values(target) == values(x));
      Tensor wide = zeros({6, 5, 9}, to);
      Tensor middle = wide.slice(2, 3, 7);
      kernel::copy(here, source, middle);
      CHECK(values(middle) == values(x));
      CHECK(values(wide.slice(2, 0, 3)) == Values(90, 0));
    }
  }
}

KERNEL_TEST("copy: large transposes") {
  const Tensor x = normal({3, 70, 45});
  for (int a : {0, 1})
    for (int b : {1, 2}) {
      const Tensor view = x.transpose(a, b);
      CHECK(values(view.clone().transpose(a, b)) == values(x));
    }
}

KERNEL_TEST("copy: floating point to integer saturates, NaN becomes 0") {
  const Tensor x =
      from_vector<float>({NAN, INFINITY, -INFINITY, -3.7f, 300.2f, 3.7f}, {6}).to(here);
  CHECK(x.to(DType::u8).to_vector<uint8_t>() == std::vector<uint8_t>{0, 255, 0, 0, 255, 3});
  CHECK(x.to(DType::i64).to_vector<int64_t>() ==
        std::vector<int64_t>{0, INT64_MAX, INT64_MIN, -3, 300, 3});
}

KERNEL_TEST("fill and axpy") {
  for (DType t : kFloats) {
    Tensor y = zeros({6, 7}, t), middle = y.slice(1, 2, 4);
    kernel::fill(here, 2.5, middle);
    CHECK(values(middle) == Values(12, 2.5));
    CHECK(values(y.slice(1, 4, 7)) == Values(18, 0));
    const Tensor x = normal({3000}, t, 1);
    Tensor z = normal({3000}, t, 2);
    Values want = values(z);
    for (size_t i = 0; i < want.size(); ++i) want[i] += -0.5 * values(x)[i];
    kernel::axpy(here, -0.5, x, z);
    check_close(z, want);
    if (t != DType::f64) break;  // values() in the loop above is quadratic: two dtypes are enough
  }
}

KERNEL_TEST("reduce: sums and maxima along the last, the first and a middle axis") {
  for (DType t : kFloats) {
    const Shape shapes[] = {{1, 50000, 1}, {7, 33, 1}, {1, 1000, 300}, {3, 65, 17},
                            {2, 1, 5},     {3, 0, 4},  {0, 3, 4},      {1, 0, 1}};
    for (const Shape& s : shapes) {
      const Tensor x = normal(s, t);
      const Values v = values(x);
      Values sums(at(s[0] * s[2]), 0.0), most(at(s[0] * s[2]), -INFINITY);
      for (int64_t i = 0; i < x.numel(); ++i) {
        const size_t to = at(i / (s[1] * s[2]) * s[2] + i % s[2]);
        sums[to] += v[at(i)];
        most[to] = std::max(most[to], v[at(i)]);
      }
      Tensor y = empty({s[0], s[2]}, t);
      kernel::reduce(here, Reduce::sum, x, y);
      check_close(y, sums, 10);
      kernel::reduce(here, Reduce::max, x, y);
      CHECK(values(y) == most);
    }
  }
}

KERNEL_TEST("reduce: max and arg_max pass NaN on; arg_max takes the first of equals") {
  for (int64_t inner : {1, 3}) {
    Tensor x = zeros({2, 40, inner});
    Tensor y = empty({2, inner}), index = empty({2, inner}, DType::i64);
    x.slice(1, 30, 31).fill_(2);
    x.slice(1, 33, 34).fill_(2);
    x.slice(0, 1, 2).slice(1, 35, 36).fill_(NAN);
    kernel::reduce(here, Reduce::max, x, y);
    kernel::arg_max(here, x, index);
    CHECK(values(y)[0] == 2);
    CHECK(std::isnan(values(y).back()));
    CHECK(values(index)[0] == 30);
    CHECK(values(index).back() == 35);
  }
}

KERNEL_TEST("sum_squares: accumulates in f64 in every dtype") {
  for (DType t : kFloats) {
    const Tensor x = normal({50001}, t);
    Tensor y = empty({}, DType::f64);
    kernel::sum_squares(here, {x}, y);
    check_close(y, {dot(values(x), values(x))});
    kernel::sum_squares(here, {empty({0}, t)}, y);
    CHECK(y.item() == 0);
    kernel::sum_squares(here, {}, y);
    CHECK(y.item() == 0);
  }
}

KERNEL_TEST("sum_squares: over several arrays, wherever one ends") {
  std::vector<Tensor> arrays;
  double want = 0;
  for (const int64_t n : {1, 511, 0, 512, 3, 2000}) {
    arrays.push_back(normal({n}, DType::f32, static_cast<uint64_t>(n)));
    want += dot(values(arrays.back()), values(arrays.back()));
  }
  Tensor y = empty({}, DType::f64);
  kernel::sum_squares(here, arrays, y);
  check_close(y, {want});
}

KERNEL_TEST("softmax and log_softmax with gradients") {
  for (DType t : kFloats) {
    for (const Shape& s : kRowShapes) {
      const Tensor x = normal(s, t, 1), g = normal(s, t, 2);
      Tensor y = empty_like(x), z = empty_like(x), dx = empty_like(x);
      kernel::softmax(here, x, y);
      check_close(y, by_rows(x, {}, [](Values v, const Values&) {
                    const double lse = log_sum_exp(v);
                    for (double& e : v) e = std::exp(e - lse);
                    return v;
                  }));
      kernel::log_softmax(here, x, z);
      check_close(z, by_rows(x, {}, [](Values v, const Values&) {
                    const double lse = log_sum_exp(v);
                    for (double& e : v) e -= lse;
                    return v;
                  }));
      kernel::softmax_grad(here, y, g, dx);
      check_close(dx, by_rows(y, g, [](Values vy, const Values& vg) {
                    const double inner = dot(vy, vg);
                    for (size_t i = 0; i < vy.size(); ++i) vy[i] *= vg[i] - inner;
                    return vy;
                  }));
      kernel::log_softmax_grad(here, z, g, dx);
      check_close(dx,
                  by_rows(z, g,
                          [](Values vy, const Values& vg) {
                            const double sum = std::accumulate(vg.begin(), vg.end(), 0.0);
                            for (size_t i = 0; i < vy.size(); ++i)
                              vy[i] = vg[i] - std::exp(vy[i]) * sum;
                            return vy;
                          }),
                  4);
    }
  }
}

KERNEL_TEST("softmax: masked entries, huge values, and a row of nothing but -inf") {
  const float inf = INFINITY;
  const Tensor x =
      from_vector<float>({-inf, 1, 1, 3e38f, -3e38f, 0, -inf, -inf, -inf}, {3, 3}).to(here);
  Tensor y = empty_like(x);
  kernel::softmax(here, x, y);
  const Values v = values(y);
  CHECK(row(v, 0, 3) == Values{0, 0.5, 0.5});
  CHECK(row(v, 1, 3) == Values{1, 0, 0});
  for (double e : row(v, 2, 3)) CHECK(std::isnan(e));
}

KERNEL_TEST("cross_entropy with gradient") {
  for (DType t : kFloats) {
    const Tensor x = normal({6, 77}, t, 1), target = indices({0, 76, 5, 5, 31, 32});
    Tensor loss = empty({6}, acc_dtype(t)), lse = empty({6}, acc_dtype(t)), dx = empty_like(x);
    kernel::cross_entropy(here, x, target, loss, lse);
    Values want;
    Values grad = values(x);
    for (int64_t i = 0; i < 6; ++i) {
      const Values v = row(values(x), i, 77);
      const int64_t label = target.to_vector<int64_t>()[at(i)];
      want.push_back(log_sum_exp(v) - v[at(label)]);
      for (int64_t j = 0; j < 77; ++j)
        grad[at(i * 77 + j)] = 0.25 * (std::exp(v[at(j)] - log_sum_exp(v)) - (j == label));
    }
    check_close(loss, want);
    kernel::cross_entropy_grad(here, x, lse, target, full({}, 6 * 0.25, acc_dtype(t)), dx);
    check_close(dx, grad);
  }
}

}  // namespace diptych::test
