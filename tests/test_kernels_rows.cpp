// tests/test_kernels_rows.cpp — the CPU kernels on rows (norms, embedding), random numbers, and
// equal bits for any number of threads.
#include "tensor/philox.h"
#include "tensor/scalar_ops.h"
#include "tests/kernel_reference.h"

namespace diptych::test {
KERNEL_TEST("layer_norm with gradients") {
  for (DType t : kFloats) {
    for (const Shape& s : {Shape{1, 1}, Shape{3, 7}, Shape{300, 96}, Shape{5, 513}, Shape{0, 8}}) {
      const int64_t n = s[0], d = s[1];
      const Tensor x = normal(s, t, 1), g = normal(s, t, 2), w = normal({d}, acc_dtype(t), 3);
      const Tensor b = normal({d}, acc_dtype(t), 4);
      const Values vx = values(x), vg = values(g), vw = values(w), vb = values(b);
      Tensor y = empty_like(x), mean = empty({n}, acc_dtype(t)), rstd = empty_like(mean);
      Tensor dx = empty_like(x), dw = empty_like(w), db = empty_like(w), none;
      Values wy, wdx, wdw(at(d), 0.0), wdb(at(d), 0.0);
      for (int64_t i = 0; i < n; ++i) {
        const double inverse = 1.0 / static_cast<double>(d);
        double m = 0, var = 0, a = 0, c = 0;
        for (int64_t j = 0; j < d; ++j) m += inverse * vx[at(i * d + j)];
        for (int64_t j = 0; j < d; ++j) var += inverse * std::pow(vx[at(i * d + j)] - m, 2);
        const double r = 1 / std::sqrt(var + 1e-5);
        for (int64_t j = 0; j < d; ++j) {
          const double norm = (vx[at(i * d + j)] - m) * r, grad = vg[at(i * d + j)];
          wy.push_back(norm * vw[at(j)] + vb[at(j)]);
          a += inverse * grad * vw[at(j)];
          c += inverse * grad * vw[at(j)] * norm;
          wdw[at(j)] += grad * norm;
          wdb[at(j)] += grad;
        }
        for (int64_t j = 0; j < d; ++j)
          wdx.push_back(r * (vg[at(i * d + j)] * vw[at(j)] - a - (vx[at(i * d + j)] - m) * r * c));
      }
      kernel::layer_norm(here, x, w, b, 1e-5, y, mean, rstd);
      check_close(y, wy);
      kernel::layer_norm_grad(here, x, w, mean, rstd, g, dx, dw, db);
      check_close(dx, wdx, 4);
      check_close(dw, wdw, 4);
      check_close(db, wdb, 4);
      Tensor alone = empty_like(dw);
      kernel::layer_norm_grad(here, x, w, mean, rstd, g, none, alone, none);
      CHECK(values(alone) == values(dw));
    }
  }
}

KERNEL_TEST("layer_norm: a mean ten thousand times the deviation costs no accuracy") {
  const Tensor noise = normal({4, 768}, DType::f32, 1);
  Tensor x = full({4, 768}, 1e4);
  kernel::axpy(here, 1, noise, x);
  const Values v = values(x);
  Tensor y = empty_like(x), mean = empty({4}), rstd = empty({4});
  kernel::layer_norm(here, x, full({768}, 1), zeros({768}), 1e-5, y, mean, rstd);
  for (int64_t i = 0; i < 4; ++i) {
    double m = 0, var = 0;
    for (int64_t j = 0; j < 768; ++j) m += v[at(i * 768 + j)] / 768;
    for (int64_t j = 0; j < 768; ++j) var += std::pow(v[at(i * 768 + j)] - m, 2) / 768;
    for (int64_t j = 0; j < 768; ++j)
      CHECK(std::fabs(values(y.slice(0, i, i + 1))[at(j)] -
                      (v[at(i * 768 + j)] - m) / std::sqrt(var + 1e-5)) < 2e-3);
  }
}

KERNEL_TEST("l2_normalize with gradient, also below eps") {
  for (DType t : kFloats) {
    Tensor x = normal({5, 65}, t, 1);
    x.slice(0, 2, 3).fill_(0);
    const Tensor g = normal({5, 65}, t, 2);
    Tensor y = empty_like(x), norm = empty({5}, acc_dtype(t)), dx = empty_like(x);
    kernel::l2_normalize(here, x, 1e-3, y, norm);
    Values wy = values(x), wdx = values(g);
    for (int64_t i = 0; i < 5; ++i) {
      double length = 0, inner = 0;
      for (int64_t j = 0; j < 65; ++j) length += std::pow(values(x)[at(i * 65 + j)], 2);
      const double n = std::max(std::sqrt(length), 1e-3);
      for (int64_t j = 0; j < 65; ++j) inner += (wy[at(i * 65 + j)] /= n) * wdx[at(i * 65 + j)];
      for (int64_t j = 0; j < 65; ++j)
        wdx[at(i * 65 + j)] = (wdx[at(i * 65 + j)] - wy[at(i * 65 + j)] * inner) / n;
    }
    check_close(y, wy);
    kernel::l2_normalize_grad(here, y, norm, 1e-3, g, dx);
    check_close(dx, wdx, 4);
  }
}

KERNEL_TEST("gather_rows and scatter_add_rows: repeated and missing rows") {
  const std::vector<int64_t> index = {4, 0, 4, 4, 2, 0};
  for (DType t : kFloats) {
    const Tensor x = normal({6, 37}, t, 1);
    Tensor y = empty({6, 37}, t), dx = full({6, 37}, NAN, t);
    kernel::gather_rows(here, x, indices(index), y);
    kernel::scatter_add_rows(here, y, indices(index), dx);
    const double count[] = {2, 0, 1, 0, 3, 0};
    Values gathered, sums = values(x);
    for (int64_t i : index)
      for (int64_t j = 0; j < 37; ++j) gathered.push_back(sums[at(i * 37 + j)]);
    for (int64_t i = 0; i < 6 * 37; ++i) sums[at(i)] *= count[i / 37];
    CHECK(values(y) == gathered);
    check_close(dx, sums);
  }
  Tensor bytes = empty({2, 1}, DType::u8);
  kernel::gather_rows(here, arange(9, DType::u8, here).view({9, 1}), indices({7, 3}), bytes);
  CHECK(values(bytes) == Values{7, 3});
}

KERNEL_TEST("random: element i takes words 2i and 2i + 1 of its sequence") {
  const Seed seed{123, 45};
  PhiloxStream words(seed.seed, seed.stream);
  Tensor u = empty({11}, DType::f64), n = empty({11}, DType::f64);
  kernel::uniform(here, seed, -2, 3, u);
  kernel::normal(here, seed, n);
  for (int64_t i = 0; i < 11; ++i) {
    const uint32_t a = words.next(), b = words.next();
    CHECK(values(u)[at(i)] == -2 + 5 * to_unit(a));
    CHECK(values(n)[at(i)] == to_normal(a, b));
  }
}

KERNEL_TEST("track_moments: running statistics follow those of a batch, and it is counted") {
  for (DType t : {DType::f32, DType::f64}) {
    const Tensor mean = normal({7}, t, 1), var = normal({7}, t, 2);
    Tensor running_mean = normal({7}, t, 3), running_var = normal({7}, t, 4);
    Tensor count = full({}, 41, DType::i64).to(Device::cpu);
    Values want_mean, want_var;
    for (size_t j = 0; j < 7; ++j) {
      want_mean.push_back(0.75 * values(running_mean)[j] + 0.25 * values(mean)[j]);
      want_var.push_back(0.75 * values(running_var)[j] + 0.25 * 5.0 / 4.0 * values(var)[j]);
    }
    kernel::track_moments(here, mean, var, 5, 0.25, running_mean, running_var, count);
    check_close(running_mean, want_mean);
    check_close(running_var, want_var);
    CHECK(count.item() == 42);
  }
}

KERNEL_TEST("random: moments of a million numbers") {
  const Values u = values(uniform({1000000}, 0, 1, Seed{1, 2}, DType::f32, here)),
               n = values(normal({1000000}));
  double mean_u = 0, mean = 0, square = 0, fourth = 0;
  for (double v : u) mean_u += v * 1e-6;
  for (double v : n) {
    mean += v * 1e-6;
    square += v * v * 1e-6;
    fourth += v * v * v * v * 1e-6;
  }
  CHECK(std::fabs(mean_u - 0.5) < 2e-3);
  CHECK(std::fabs(mean) < 5e-3);
  CHECK(std::fabs(square - 1) < 1e-2);
  CHECK(std::fabs(fourth - 3) < 1e-1);
}

KERNEL_TEST("kernels: the same bits for any number of threads") {
  const int64_t n = 700, d = 130;
  const Tensor x = normal({n, d}, DType::f32, 1), g = normal({n, d}, DType::f32, 2);
  const Tensor w = normal({d}, DType::f32, 3), b = normal({d}, DType::f32, 4);
  std::vector<int64_t> index, target, offsets = {0, 3, 3, 60, 300, 700};
  for (int64_t i = 0; i < n; ++i) index.push_back(i * i % 50), target.push_back(i % d);
  check_same_bits([&] {
    Tensor mean = empty({n}), rstd = empty({n}), norm = empty({n}), loss = empty({n}), none;
    Tensor lse = empty({n}), lse2 = empty({2, n}), total = empty({1, 1}),
           squares = empty({}, DType::f64);
    Tensor columns = empty({1, d}), rows = empty({n, 1}), scattered = empty({50, d});
    Tensor dw = empty({d}), db = empty({d}), p = x.clone(), m = zeros({n, d}), v = zeros({n, d});
    Tensor y[11];
    for (Tensor& t : y) t = empty({n, d});
    const Tensor qkv = normal({n, 3 * d}, DType::f32, 5);
    Tensor dqkv = empty({n, 3 * d});
    kernel::unary(here, Unary::gelu, x, y[0]);
    kernel::binary(here, Binary::add, x, w.expand({n, d}), y[1]);
    kernel::softmax(here, x, y[2]);
    kernel::layer_norm(here, x, w, b, 1e-5, y[3], mean, rstd);
    kernel::layer_norm_grad(here, x, w, mean, rstd, g, y[4], dw, db);
    kernel::l2_normalize(here, x, 1e-6, y[5], norm);
    kernel::cross_entropy(here, x, indices(target), loss, lse);
    kernel::cross_entropy_grad(here, x, lse, indices(target), full({}, 1, lse.dtype()), y[6]);
    kernel::scatter_add_rows(here, x, indices(index), scattered);
    kernel::attention(here, qkv, layout_of(offsets), 2, true, y[7], lse2);
    kernel::attention_grad(here, qkv, layout_of(offsets), 2, true, y[7], lse2, g, dqkv);
    const Tensor query = x.slice(0, 0, 5).contiguous();
    const Tensor keys = qkv.slice(1, d, 3 * d).contiguous();
    Tensor pooled = empty_like(query), lse3 = empty({5, 2});
    Tensor dquery = empty_like(query), dkeys = empty_like(keys);
    kernel::attention_pool(here, query, keys, layout_of(offsets), 2, pooled, lse3);
    kernel::attention_pool_grad(here, query, keys, layout_of(offsets), 2, pooled, lse3, query,
                                dquery, dkeys);
    kernel::normal(here, Seed{1, 1}, y[8]);
    kernel::reduce(here, Reduce::sum, x.view({1, n * d, 1}), total);
    kernel::reduce(here, Reduce::sum, x.view({1, n, d}), columns);
    kernel::reduce(here, Reduce::max, x.view({n, d, 1}), rows);
    kernel::sum_squares(here, {x}, squares);
    kernel::adamw_step(here, {1e-3, 0.9, 0.98, 1e-6, 0.2, 1, 1}, squares, {{g, m, v, p, true}},
                       none);
    kernel::copy(here, x.view({d, n}).transpose(0, 1), y[9]);
    kernel::log_softmax_grad(here, y[2], g, y[10]);
    return std::vector<Tensor>{y[0], y[1], y[2],   y[3],   y[4],    y[5],    y[6], y[7],
                               y[8], y[9], y[10],  mean,   rstd,    dw,      db,   norm,
                               loss, lse,  lse2,   total,  squares, columns, rows, scattered,
                               p,    dqkv, pooled, dquery, dkeys};
  });
}

}  // namespace diptych::test
