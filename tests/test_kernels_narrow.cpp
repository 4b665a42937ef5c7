// tests/test_kernels_narrow.cpp — AdamW with f16 moments and copies, against formulas in f64.
#include "tests/adamw_slots.h"

namespace diptych::test {
namespace {

/// n normal numbers in R rows, each a tenth of the one before.
Tensor by_decades(int64_t n, int64_t R, uint64_t stream) {
  const Tensor from = normal({R, n / R}, DType::f32, stream);
  Tensor to = zeros({R, n / R});
  for (int64_t r = 0; r < R; ++r) {
    Tensor row = to.slice(0, r, r + 1);
    kernel::axpy(here, std::pow(10.0, -static_cast<double>(r)), from.slice(0, r, r + 1), row);
  }
  return to.view({n});
}

/// What f16 moments stand for.
Values wide(const Tensor& moment, const Tensor& scale) {
  Values x = values(moment);
  const Values s = values(scale);
  for (size_t i = 0; i < x.size(); ++i) x[i] *= s[i * s.size() / x.size()];
  return x;
}

/// The moments after the step, and p; `terms` is the size of the two that m is a sum of.
struct Reference {
  Reference(const AdamWSlot& slot, const AdamWStep& step, double scale)
      : m(wide(slot.m, slot.m_scale)), v(wide(slot.v, slot.v_scale)), p(values(slot.p)) {
    const Values g = values(slot.g);
    for (size_t i = 0; i < p.size(); ++i) {
      const double grad = scale * g[i];
      terms.push_back(step.beta1 * std::fabs(m[i]) + (1 - step.beta1) * std::fabs(grad));
      m[i] = step.beta1 * m[i] + (1 - step.beta1) * grad;
      v[i] = step.beta2 * v[i] + (1 - step.beta2) * grad * grad;
      const double mhat = m[i] / (1 - std::pow(step.beta1, step.t));
      const double vhat = v[i] / (1 - std::pow(step.beta2, step.t));
      p[i] -= step.lr * (step.weight_decay * p[i] + mhat / (std::sqrt(vhat) + step.eps));
    }
  }
  Values m, v, p, terms;
};

/// `moment` is `want`, each group rounded to f16 after division by its scale, but for what f32
/// makes of a sum of `terms`.
void check_moment(const Tensor& moment, const Tensor& scale, const Values& want,
                  const Values& terms) {
  const Values got = wide(moment, scale), scales = values(scale);
  const size_t size = want.size() / scales.size();
  for (size_t r = 0; r < scales.size(); ++r) {
    double most = 0;
    for (size_t i = r * size; i < (r + 1) * size; ++i) most = std::max(most, std::fabs(want[i]));
    CHECK(scales[r] == doctest::Approx(1e-8 + most / 65504).epsilon(1e-6));
    int64_t wrong = 0;
    for (size_t i = r * size; i < (r + 1) * size; ++i) {
      const double step = std::max(std::fabs(want[i]) * 0x1p-10, scales[r] * 0x1p-24);
      wrong += !(std::fabs(got[i] - want[i]) <= 0.5 * step + 1e-6 * terms[i]);
    }
    CHECK(wrong == 0);
  }
}

/// Everything that a step writes to.
std::vector<Tensor> written(const std::vector<AdamWSlot>& slots) {
  std::vector<Tensor> all;
  for (const AdamWSlot& s : slots)
    for (const Tensor& x : {s.m, s.v, s.p, s.m_scale, s.v_scale, s.copy})
      if (x.defined()) all.push_back(x);
  return all;
}

/// A slot of every kind.
std::vector<AdamWSlot> every_kind(int64_t n) {
  std::vector<AdamWSlot> slots;
  for (const DType moment : {DType::f32, DType::f16})
    for (const DType p : {DType::f32, DType::f16, DType::bf16})
      slots.push_back(slot_of(n, p, moment, 1, 10 * slots.size()));
  slots.push_back(slot_of(n * 7, DType::f32, DType::f16, 7, 99));
  slots[0].copy = zeros({n}, DType::f16);
  slots[3].copy = zeros({n}, DType::bf16);
  return slots;
}

}  // namespace

KERNEL_TEST("adamw_step in 16 bits: f16 moments are Jukebox's, by tensor and by row, of any size") {
  const std::pair<int64_t, int64_t> sizes[] = {{1, 1},     {3, 1},  {2001, 1}, {16389, 1},
                                               {40001, 1}, {35, 7}, {4096, 8}, {60003, 3},
                                               {5, 5},     {0, 1}};
  for (const auto& [n, R] : sizes) {
    AdamWSlot slot = slot_of(n, DType::f32, DType::f16, R);
    for (int64_t t = 1; t <= 4; ++t) {
      CAPTURE(n);
      CAPTURE(t);
      slot.g = by_decades(n, R, static_cast<uint64_t>(t));
      const Reference want(slot, step_of(1, t), 1 / (2 + 1e-6));
      kernel::adamw_step(here, step_of(1, t), squares(4), {slot}, none);
      check_moment(slot.m, slot.m_scale, want.m, want.terms);
      check_moment(slot.v, slot.v_scale, want.v, want.v);
      check_close(slot.p, want.p);
    }
  }
}

KERNEL_TEST("adamw_step in 16 bits: moments and gradients of zeros are scales of 1e-8, no NaN") {
  AdamWSlot slot = slot_of(77, DType::f32, DType::f16, 7);
  slot.g = zeros({77});
  Values want = values(slot.p);
  for (double& x : want) x -= 1e-2 * 0.2 * x;
  Tensor vanished = full({}, 5, DType::f64);
  kernel::adamw_step(here, step_of(1, 1), squares(0), {slot}, vanished);
  CHECK(values(slot.m) == Values(77, 0.0));
  CHECK(values(slot.v) == Values(77, 0.0));
  CHECK(values(slot.m_scale) == Values(7, 1e-8f));
  CHECK(values(slot.v_scale) == Values(7, 1e-8f));
  CHECK(values(vanished) == Values{0});
  check_close(slot.p, want);
}

KERNEL_TEST("adamw_step in 16 bits: second moments that vanish are counted, zeros are not") {
  std::vector<float> g(20000, 0.5f);
  g[7] = 1000;                                            // v = 20000, a scale of 0.305
  for (size_t i = 100; i < 17100; ++i) g[i] = 6e-4f;      // 0.79 of what is half a step of f16
  for (size_t i = 18000; i < 19000; ++i) g[i] = 7.4e-4f;  // 1.2 of that
  for (size_t i = 19000; i < 19500; ++i) g[i] = 0;
  std::vector<AdamWSlot> slots{
      slot_of(20000, DType::f32, DType::f32), slot_of(20000, DType::f32, DType::f16),
      slot_of(20000, DType::bf16, DType::f16), slot_of(20000, DType::f16, DType::f32)};
  for (AdamWSlot& slot : slots) slot.g = from_vector(g, {20000}).to(here);
  Tensor vanished = full({}, NAN, DType::f64);
  const auto count = [&](const std::vector<AdamWSlot>& of, double sum) {
    kernel::adamw_step(here, step_of(0, 1), squares(sum), of, vanished);
    return values(vanished)[0];
  };
  CHECK(count(slots, 1) == 2 * 17000);
  const Values v = values(slots[1].v);
  CHECK(std::count(v.begin(), v.end(), 0.0) == 17000 + 500);
  CHECK(count({slots[1]}, 1) == 17000);  // they come back, and vanish again
  CHECK(count(slots, kInfinity) == 0);
  CHECK(count({slots[2], slots[0]}, 1) == 17000);
  CHECK(count({slots[0]}, 1) == 0);
  CHECK(count({slots[2]}, 1) == 17000);
  CHECK(count({}, 1) == 0);
}

KERNEL_TEST("adamw_step in 16 bits: a loss scale is a division beforehand") {
  for (const double max_norm : {0.0, 1.0, 100.0}) {
    const std::vector<AdamWSlot> plain = every_kind(1003), scaled = every_kind(1003);
    for (const AdamWSlot& slot : scaled) {
      Tensor g = slot.g;
      kernel::axpy(here, 1023, g.clone(), g);
    }
    AdamWStep step = step_of(max_norm, 1);
    kernel::adamw_step(here, step, squares(4), plain, none);
    step.loss_scale = 1024;
    kernel::adamw_step(here, step, squares(4.0 * 1024 * 1024), scaled, none);
    const std::vector<Tensor> a = written(plain), b = written(scaled);
    for (size_t i = 0; i < a.size(); ++i) CHECK(same_bits(a[i], b[i]));
  }
}

KERNEL_TEST("adamw_step in 16 bits: gradients of a scaled loss are unscaled in f64, too") {
  Tensor g = full({5}, 3000, DType::f64), m = full({5}, 0, DType::f64);
  AdamWStep step = step_of(1, 1);
  step.loss_scale = 1000;
  kernel::adamw_step(here, step, squares(9e6), {{g, m, m.clone(), m.clone(), true}}, none);
  for (const double x : values(m)) CHECK(x == doctest::Approx(0.1 * 3 / (3 + 1e-6)).epsilon(1e-12));
}

KERNEL_TEST("adamw_step in 16 bits: a copy is p rounded to nearest") {
  for (const DType moment : {DType::f32, DType::f16}) {
    for (const DType t : {DType::f16, DType::bf16}) {
      for (const int64_t first : {0, 1}) {
        AdamWSlot slot = slot_of(9001, DType::f32, moment);
        const Tensor whole = full({9003}, 7, t);
        slot.copy = whole.slice(0, first, 9001 + first);
        AdamWStep step = step_of(1, 1);
        step.stochastic = true;  // of p alone
        kernel::adamw_step(here, step, squares(4), {slot}, none);
        CHECK(same_bits(slot.copy.contiguous(), slot.p.to(t)));
        CHECK(values(whole.slice(0, 9001 + first, 9003)) == Values(at(2 - first), 7.0));
      }
    }
  }
}

KERNEL_TEST("adamw_step in 16 bits: nothing is touched if the sum of squares is not finite") {
  const std::vector<AdamWSlot> slots = every_kind(1003);
  kernel::adamw_step(here, step_of(1, 1), squares(4), slots, none);
  std::vector<Tensor> before;
  for (const Tensor& x : written(slots)) before.push_back(x.clone());
  for (const double sum : {kInfinity, std::nan("")}) {
    Tensor vanished = full({}, 5, DType::f64);
    kernel::adamw_step(here, step_of(1, 2), squares(sum), slots, vanished);
    CHECK(values(vanished) == Values{0});
    const std::vector<Tensor> after = written(slots);
    for (size_t i = 0; i < before.size(); ++i) CHECK(same_bits(before[i], after[i]));
  }
}

KERNEL_TEST("adamw_step in 16 bits: the same bits for any number of threads") {
  check_same_bits([] {
    const std::vector<AdamWSlot> slots = every_kind(17001);
    Tensor vanished = empty({}, DType::f64);
    for (int64_t t = 1; t <= 2; ++t) {
      AdamWStep step = step_of(1, t);
      step.stochastic = true;
      kernel::adamw_step(here, step, squares(4), slots, vanished);
    }
    std::vector<Tensor> all = written(slots);
    all.push_back(vanished);
    return all;
  });
}

}  // namespace diptych::test
