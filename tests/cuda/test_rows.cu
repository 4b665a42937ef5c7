// tests/cuda/test_rows.cu — the row and column kernels of the device against those of the CPU, at
// the sizes where the device takes another way: warps or blocks, packs or single values, one chunk
// or several, one digit or three.
#include <algorithm>
#include <numeric>

#include "cuda/groups.cuh"
#include "tests/cuda/alike.h"

namespace diptych::test {
namespace {

/// Nine rows, of which four hold what is no number, two are far from 0 and one is close to it.
Tensor hard_rows(int64_t D, DType t) {
  Tensor x = randn({9, D}, Seed{7, 1}, DType::f32, Device::cpu);
  const auto row = [&x](int64_t i) { return x.slice(0, i, i + 1); };
  row(1).slice(1, D / 2, D / 2 + 1).fill_(NAN);
  row(2).slice(1, D / 3, D / 3 + 1).fill_(INFINITY);
  row(3).slice(1, D / 2, D / 2 + 1).fill_(-INFINITY);
  row(4).fill_(-INFINITY);
  row(5).fill_(1024);
  row(7).fill_(1e-4);  // shorter than eps
  Tensor far = diptych::full({1, D}, 1e4);
  kernel::axpy(Device::cpu, 100, randn({1, D}, Seed{7, 2}, DType::f32, Device::cpu), far);
  row(6).copy_(far);
  return x.to(t).to(here);
}

Results softmaxes(const Tensor& x) {
  const Tensor g = noise(x.shape(), x.dtype(), 9);
  Results y = unwritten(4, x.shape(), x.dtype());
  kernel::softmax(here, x, y[0]);
  kernel::softmax_grad(here, y[0], g, y[1]);
  kernel::log_softmax(here, x, y[2]);
  kernel::log_softmax_grad(here, y[2], g, y[3]);
  return y;
}

Results norms(const Tensor& x) {
  const DType t = x.dtype();
  const Shape D{x.dim(1)};
  const Tensor g = noise(x.shape(), t, 9), b = noise(D, acc_dtype(t), 11),
               padded = noise({4 + D[0]}, acc_dtype(t), 10),
               w = padded.slice(0, 4, 4 + D[0]);  // at a multiple of 16 bytes, not of 32
  Results y = unwritten(4, x.shape(), t), s = unwritten(3, {x.dim(0)}, acc_dtype(t)),
          d = unwritten(2, D, acc_dtype(t));
  kernel::layer_norm(here, x, w, b, 1e-2, y[0], s[0], s[1]);
  kernel::layer_norm_grad(here, x, w, s[0], s[1], g, y[1], d[0], d[1]);
  kernel::l2_normalize(here, x, 1e-2, y[2], s[2]);
  kernel::l2_normalize_grad(here, y[2], s[2], 1e-2, g, y[3]);
  return {y[0], y[1], y[2], y[3], s[0], s[1], s[2], d[0], d[1]};
}

Results losses(const Tensor& x) {
  std::vector<int64_t> target;
  for (int64_t i = 0; i < x.dim(0); ++i) target.push_back((7 * i + 2) % x.dim(1));
  Results s = unwritten(2, {x.dim(0)}, acc_dtype(x.dtype()));
  Tensor dx = full(x.shape(), 123, x.dtype());
  kernel::cross_entropy(here, x, indices(target), s[0], s[1]);
  kernel::cross_entropy_grad(here, x, s[1], indices(target), full({}, 3, s[0].dtype()), dx);
  return {s[0], s[1], dx};
}

constexpr int64_t kWidths[] = {1, 3, 8, 33, 96, 1000, 1024, 1025, 1032, 2053, 4096};

/// (N, D) at an address that is no multiple of 16.
Tensor crooked(int64_t N, int64_t D, DType t) {
  return noise({1 + N * D}, t, 1).slice(0, 1, 1 + N * D).view({N, D});
}

/// f of matrices whose rows go to warps or to blocks, in packs or not.
void check_widths(const std::function<Results(const Tensor&)>& f, double slack) {
  for (const DType t : kFloats) {
    for (const int64_t D : kWidths) {
      CAPTURE(D);
      check_alike([&] { return f(hard_rows(D, t)); }, slack);
      check_alike([&] { return f(noise({3, D}, t, 1)); }, slack);
    }
    check_alike([&] { return f(noise({301, 40}, t, 1)); }, slack);
    check_alike([&] { return f(crooked(19, 8, t)); }, slack);
    check_alike([&] { return f(noise({0, 8}, t, 1)); }, slack);
  }
}

Results batch_norms(const Tensor& x, bool relu, bool of_batch) {
  const DType t = x.dtype();
  const Shape D{x.dim(1)};
  const Tensor g = noise(x.shape(), t, 9), w = noise(D, acc_dtype(t), 10),
               b = noise(D, acc_dtype(t), 11);
  Results y = unwritten(2, x.shape(), t), s = unwritten(2, D, acc_dtype(t)),
          d = unwritten(2, D, acc_dtype(t));
  kernel::moments(here, x, s[0], s[1]);
  kernel::batch_norm(here, x, w, b, s[0], s[1], 1e-2, relu, y[0]);
  kernel::batch_norm_grad(here, x, w, b, s[0], s[1], 1e-2, g, relu, of_batch, y[1], d[0], d[1]);
  return {y[0], y[1], s[0], s[1], d[0], d[1]};
}

}  // namespace

TEST_CASE("cuda rows: softmax and log_softmax") { check_widths(softmaxes, 4); }
TEST_CASE("cuda rows: layer_norm and l2_normalize") { check_widths(norms, 8); }
TEST_CASE("cuda rows: cross_entropy") { check_widths(losses, 4); }

TEST_CASE("cuda columns: batch_norm") {
  const Shape shapes[] = {{2, 1},    {7, 3},    {3, 8},     {300, 64},
                          {41, 264}, {5000, 8}, {4100, 40}, {3, 2056}};
  for (const DType t : kFloats) {
    for (const Shape& s : shapes) {
      CAPTURE(s[0]);
      CAPTURE(s[1]);
      for (const bool relu : {false, true})
        check_alike([&] { return batch_norms(noise(s, t, 1), relu, !relu); }, 8);
    }
    check_alike([&] { return batch_norms(hard_rows(96, t), true, true); }, 8);
    check_alike([&] { return batch_norms(hard_rows(96, t).slice(0, 5, 9), true, true); }, 8);
    check_alike([&] { return batch_norms(crooked(19, 8, t), true, true); }, 8);
  }
}

TEST_CASE("cuda columns: any of the gradients of a norm may be left out") {
  here = Device::cuda;
  const Tensor x = noise({20, 6}, DType::f32, 1), g = noise({20, 6}, DType::f32, 2),
               w = noise({6}, DType::f32, 3), s = noise({20}, DType::f32, 4);
  const Results all = {full({20, 6}, 1), full({6}, 1), full({6}, 1)},
                batch = {full({20, 6}, 1), full({6}, 1), full({6}, 1)};
  const auto run = [&](Results l, Results b) {
    kernel::layer_norm_grad(here, x, w, s, s, g, l[0], l[1], l[2]);
    kernel::batch_norm_grad(here, x, w, w, w, w, 9, g, true, true, b[0], b[1], b[2]);
  };
  run(all, batch);
  for (size_t i = 0; i < 3; ++i) {
    Results l(3), b(3);
    l[i] = full(all[i].shape(), NAN), b[i] = full(all[i].shape(), NAN);
    run(l, b);
    CHECK(values(l[i]) == values(all[i]));
    CHECK(values(b[i]) == values(batch[i]));
  }
  here = Device::cpu;
}

TEST_CASE("cuda index: lists of any length, summed alike every time") {
  struct Case {
    int64_t N, V, D, step;
  };
  const Case cases[] = {{0, 3, 4, 1},      {5, 1, 1, 1},      {77, 5, 3, 0},       {500, 7, 40, 1},
                        {2100, 300, 8, 7}, {5000, 2, 260, 1}, {300, 70000, 2, 977}};
  for (const DType t : kFloats) {
    for (const auto& [N, V, D, step] : cases) {
      std::vector<int64_t> index;
      for (int64_t i = 0; i < N; ++i) index.push_back(i % 3 ? i * i * step % V : V - 1);
      CAPTURE(N);
      const auto run = [&, V = V, N = N, D = D] {
        Tensor dx = full({V, D}, NAN, t), y = full({N, D}, NAN, t);
        kernel::scatter_add_rows(here, noise({N, D}, t, 1), indices(index), dx);
        kernel::gather_rows(here, dx, indices(index), y);
        return Results{dx, y};
      };
      check_alike(run, 16);
      here = Device::cuda;
      CHECK(values(run()[0]) == values(run()[0]));
      here = Device::cpu;
    }
  }
}

TEST_CASE("cuda index: positions are grouped by value, in their order") {
  here = Device::cuda;
  for (const int64_t V : {1, 2, 200, 256, 257, 100000}) {
    for (const int64_t N : {0, 1, 31, 256, 2048, 5001}) {
      std::vector<int64_t> index, order(at(N));
      for (int64_t i = 0; i < N; ++i) index.push_back(i * i * 31 % V);
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(),
                       [&](int64_t a, int64_t b) { return index[at(a)] < index[at(b)]; });
      const cuda::Groups groups("groups", indices(index), V, cuda::Indexed::scatter_add_rows);
      CHECK(groups.order.to_vector<int64_t>() == order);
      const auto first = groups.first.to_vector<int64_t>();
      std::sort(index.begin(), index.end());
      for (int64_t v = 0; v <= V; v += V > 300 ? 997 : 1)
        CHECK(first[at(v)] == std::lower_bound(index.begin(), index.end(), v) - index.begin());
    }
  }
  here = Device::cpu;
}

}  // namespace diptych::test
