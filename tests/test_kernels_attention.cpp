// tests/test_kernels_attention.cpp — the attention kernels against plain loops in f64.
#include "tests/kernel_reference.h"

namespace diptych::test {
namespace {

/// Plain attention of one packed batch in f64: y, and with a gradient g also dqkv.
struct NaiveAttention {
  NaiveAttention(const Tensor& qkv, const std::vector<int64_t>& offsets, int64_t heads_,
                 bool causal_, const Tensor& grad)
      : x(values(qkv)), g(values(grad)), heads(heads_), d(qkv.dim(1) / 3), causal(causal_) {
    y.resize(at(qkv.dim(0) * d));
    dx.resize(x.size());
    lse.resize(at(heads * qkv.dim(0)));
    for (size_t s = 0; s + 1 < offsets.size(); ++s)
      for (int64_t h = 0; h < heads; ++h)
        for (int64_t i = offsets[s]; i < offsets[s + 1]; ++i)
          query(i, offsets[s], causal ? i + 1 : offsets[s + 1], h, qkv.dim(0));
  }

  double dot(const Values& a, int64_t ra, int64_t ca, const Values& b, int64_t rb, int64_t cb,
             int64_t wa, int64_t wb) const {
    double sum = 0;
    for (int64_t e = 0; e < d / heads; ++e)
      sum += a[at(ra * wa + ca + e)] * b[at(rb * wb + cb + e)];
    return sum;
  }

  void query(int64_t i, int64_t first, int64_t last, int64_t h, int64_t total) {
    const int64_t dh = d / heads, q = h * dh, k = d + q, v = 2 * d + q, w = 3 * d;
    const double scale = 1 / std::sqrt(static_cast<double>(dh));
    Values p;
    double most = -INFINITY, sum = 0, delta = 0;
    for (int64_t j = first; j < last; ++j) p.push_back(scale * dot(x, i, q, x, j, k, w, w));
    for (double s : p) most = std::max(most, s);
    for (double& s : p) sum += s = std::exp(s - most);
    lse[at(h * total + i)] = most + std::log(sum);
    for (int64_t j = first; j < last; ++j)
      for (int64_t e = 0; e < dh; ++e)
        y[at(i * d + q + e)] += p[at(j - first)] / sum * x[at(j * w + v + e)];
    delta = dot(g, i, q, y, i, q, d, d);
    for (int64_t j = first; j < last; ++j) {
      const double weight = p[at(j - first)] / sum;
      const double ds = scale * weight * (dot(g, i, q, x, j, v, d, w) - delta);
      for (int64_t e = 0; e < dh; ++e) {
        dx[at(i * w + q + e)] += ds * x[at(j * w + k + e)];
        dx[at(j * w + k + e)] += ds * x[at(i * w + q + e)];
        dx[at(j * w + v + e)] += weight * g[at(i * d + q + e)];
      }
    }
  }

  Values x, g, y, dx, lse;
  int64_t heads, d;
  bool causal;
};

void check_attention(const std::vector<int64_t>& lengths, int64_t heads, int64_t dh, DType t) {
  std::vector<int64_t> offsets = {0};
  for (int64_t n : lengths) offsets.push_back(offsets.back() + n);
  const int64_t total = offsets.back(), d = heads * dh;
  const Tensor qkv = normal({total, 3 * d}, t, 1), g = normal({total, d}, t, 2);
  for (bool causal : {false, true}) {
    INFO(t, " heads ", heads, " width ", dh, " tokens ", total, " causal ", causal);
    Tensor y = full({total, d}, NAN, t), lse = full({heads, total}, NAN, acc_dtype(t));
    Tensor dqkv = full({total, 3 * d}, NAN, t);
    const NaiveAttention want(qkv, offsets, heads, causal, g);
    kernel::attention(here, qkv, layout_of(offsets), heads, causal, y, lse);
    check_close(y, want.y, 4);
    check_close(lse, want.lse, 4);
    kernel::attention_grad(here, qkv, layout_of(offsets), heads, causal, y, lse, g, dqkv);
    check_close(dqkv, want.dx, 8);
  }
}

// One query per sequence is the last query of attention: its result and what its gradient leaves.
void check_attention_pool(const std::vector<int64_t>& lengths, int64_t heads, int64_t dh, DType t) {
  INFO(t, " heads ", heads, " width ", dh);
  std::vector<int64_t> offsets = {0}, last;
  for (int64_t n : lengths) {
    offsets.push_back(offsets.back() + n);
    last.push_back(offsets.back() - 1);
  }
  const auto B = static_cast<int64_t>(last.size());
  const int64_t total = offsets.back(), d = heads * dh;
  const Tensor qkv = normal({total, 3 * d}, t, 1), g = normal({B, d}, t, 2);
  Tensor q = empty({B, d}, t), all_g = zeros({total, d}, t);
  for (int64_t b = 0; b < B; ++b) {
    const int64_t row = last[at(b)];
    q.slice(0, b, b + 1).copy_(qkv.slice(0, row, row + 1).slice(1, 0, d));
    all_g.slice(0, row, row + 1).copy_(g.slice(0, b, b + 1));
  }
  const Tensor kv = qkv.slice(1, d, 3 * d).contiguous();
  Tensor y = full({B, d}, NAN, t), lse = full({B, heads}, NAN, acc_dtype(t));
  Tensor dq = full({B, d}, NAN, t), dkv = full({total, 2 * d}, NAN, t);
  kernel::attention_pool(here, q, kv, layout_of(offsets), heads, y, lse);
  kernel::attention_pool_grad(here, q, kv, layout_of(offsets), heads, y, lse, g, dq, dkv);

  const NaiveAttention want(qkv, offsets, heads, false, all_g);
  Values want_y, want_lse, want_dq, want_dkv;
  for (int64_t b = 0; b < B; ++b) {
    const int64_t row = last[at(b)];
    for (int64_t h = 0; h < heads; ++h) want_lse.push_back(want.lse[at(h * total + row)]);
    for (int64_t e = 0; e < d; ++e) {
      want_y.push_back(want.y[at(row * d + e)]);
      want_dq.push_back(want.dx[at(row * 3 * d + e)]);
    }
  }
  for (int64_t row = 0; row < total; ++row)
    for (int64_t e = d; e < 3 * d; ++e) want_dkv.push_back(want.dx[at(row * 3 * d + e)]);
  check_close(y, want_y, 4);
  check_close(lse, want_lse, 4);
  check_close(dq, want_dq, 8);
  check_close(dkv, want_dkv, 8);
}

}  // namespace

KERNEL_TEST("attention: short, empty and single-token sequences, any head width") {
  for (DType t : kFloats)
    for (int64_t dh : {1, 8, 24, 32, 50, 64}) check_attention({8, 1, 0, 50, 17}, 3, dh, t);
}

KERNEL_TEST("attention: sequences longer than a tile of queries and of keys") {
  for (DType t : kFloats) {
    check_attention({577}, 1, 16, t);
    check_attention({65, 257, 0, 130}, 2, 20, t);
  }
  check_attention({}, 2, 8, DType::f32);
}

KERNEL_TEST("attention: wide heads") {
  // On a GPU up to 64 columns, up to 128 and more each have kernels of their own.
  for (DType t : kFloats)
    for (int64_t dh : {80, 128, 136}) check_attention({3, 0, 70}, 2, dh, t);
}

KERNEL_TEST("attention: scores far apart do not overflow") {
  const Tensor one = full({300, 3}, 1);
  Tensor qkv = one.clone(), y = empty({300, 1}), lse = empty({1, 300});
  qkv.slice(0, 290, 291).slice(1, 1, 2).fill_(2000);  // one key outweighs all others
  qkv.slice(0, 290, 291).slice(1, 2, 3).fill_(5);
  kernel::attention(here, qkv, layout_of({0, 300}), 1, false, y, lse);
  CHECK(values(y) == Values(300, 5));
  CHECK(values(lse) == Values(300, 2000));
}

KERNEL_TEST("attention_pool: the last query of attention, any head width") {
  for (DType t : kFloats)
    for (int64_t dh : {1, 8, 24, 32, 50, 64, 136}) check_attention_pool({8, 1, 50, 17}, 3, dh, t);
}

KERNEL_TEST(
    "attention_pool: a sequence of nothing gives nothing, scores far apart do not overflow") {
  const Tensor q = full({2, 1}, 1);
  Tensor kv = full({300, 2}, 1), y = empty({2, 1}), lse = empty({2, 1}), dq = empty({2, 1});
  kv.slice(0, 290, 291).slice(1, 0, 1).fill_(2000);  // one key outweighs all others
  kv.slice(0, 290, 291).slice(1, 1, 2).fill_(5);
  const Ragged layout = layout_of({0, 0, 300});
  kernel::attention_pool(here, q, kv, layout, 1, y, lse);
  CHECK(values(y) == Values{0, 5});
  CHECK(values(lse) == Values{-INFINITY, 2000});
  Tensor dkv = empty_like(kv);
  kernel::attention_pool_grad(here, q, kv, layout, 1, y, lse, q, dq, dkv);
  CHECK(values(dq) == Values{0, 0});
}

}  // namespace diptych::test
