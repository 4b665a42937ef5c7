// tests/test_kernels_narrow_parameters.cpp — AdamW on parameters of 16 bits: how they are rounded.
#include "tensor/philox.h"
#include "tensor/rounding.h"
#include "tests/adamw_slots.h"

namespace diptych::test {
namespace {

/// p (1 - 2⁻⁵ - 2⁻¹²): a step without gradients, exact in f32 for p of 16 bits.
AdamWStep exact_step(bool stochastic, int64_t t = 3, uint64_t seed = 5) {
  return {1, 0.9, 0.98, 1e-6, 0x1p-5 + 0x1p-12, 0, t, 1, seed, stochastic};
}
float exact_result(float p) { return p - p * (0x1p-5f + 0x1p-12f); }

/// That step of n parameters of type t; `start` everywhere, or normal numbers for 0.
Tensor decayed(int64_t n, DType t, const AdamWStep& step, uint64_t stream, double start = 0) {
  AdamWSlot slot = slot_of(n, t, stream % 2 ? DType::f16 : DType::f32, 1, stream);
  slot.g = zeros({n});
  if (start != 0) slot.p = full({n}, start, t);
  kernel::adamw_step(here, step, squares(0), {slot}, none);
  return slot.p;
}

template <class T>
int64_t wrong_results(const AdamWStep& step, uint64_t stream, DType t) {
  constexpr int64_t n = 16391;
  const Values before = values(slot_of(n, t, DType::f32, 1, stream).p);
  const Values after = values(decayed(n, t, step, stream));
  PhiloxStream words(step.seed, mix(stream, static_cast<uint64_t>(step.t)));
  int64_t wrong = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    const float want = exact_result(static_cast<float>(before[i]));
    const uint32_t word = words.next();
    const T narrow = step.stochastic ? round_stochastic<T>(want, word) : T(want);
    wrong += after[i] != static_cast<float>(narrow);
  }
  return wrong;
}

/// ±1 for each element of 1 that a step of the seed, stream and number rounds up or down.
std::vector<int> coins(uint64_t seed, uint64_t stream, int64_t t) {
  std::vector<int> sides;
  AdamWStep step = exact_step(true, t, seed);
  step.weight_decay = 0x1p-9;  // to the middle between 1 - 2⁻⁸ and 1
  for (const double p : values(decayed(20000, DType::bf16, step, stream, 1)))
    sides.push_back(p == 1 ? 1 : -1);
  return sides;
}

int product(const std::vector<int>& a, const std::vector<int>& b) {
  int sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

KERNEL_TEST(
    "adamw_step in 16 bits: parameters become the f32 result, to nearest or by their word") {
  for (const bool stochastic : {false, true}) {
    for (const uint64_t stream : {0u, 1u}) {  // moments in f32, in f16
      CHECK(wrong_results<f16>(exact_step(stochastic), stream, DType::f16) == 0);
      CHECK(wrong_results<bf16>(exact_step(stochastic), stream, DType::bf16) == 0);
    }
  }
}

KERNEL_TEST("adamw_step in 16 bits: rows of odd size take the words of their places") {
  const AdamWStep step = exact_step(true);
  AdamWSlot rows = slot_of(7 * 1027, DType::bf16, DType::f16, 7), one = rows;
  rows.g = one.g = zeros({7 * 1027});
  one.p = rows.p.clone(), one.m = rows.m.clone(), one.v = rows.v.clone();
  one.m_scale = zeros({1}), one.v_scale = zeros({1});
  kernel::adamw_step(here, step, squares(0), {rows, one}, none);
  CHECK(same_bits(rows.p, one.p));
}

KERNEL_TEST("adamw_step in 16 bits: steps, seeds and parameters draw numbers of their own") {
  for (const uint64_t stream : {6u, 7u}) {
    const std::vector<int> here_and_now = coins(5, stream, 3);
    const double limit = 4.5 * std::sqrt(20000);
    CHECK(std::abs(product(here_and_now, std::vector<int>(20000, 1))) <= limit);  // fair
    CHECK(std::abs(product(here_and_now, coins(5, stream, 4))) <= limit);
    CHECK(std::abs(product(here_and_now, coins(6, stream, 3))) <= limit);
    CHECK(std::abs(product(here_and_now, coins(5, stream + 2, 3))) <= limit);
    CHECK(product(here_and_now, coins(5, stream, 3)) == 20000);
  }
}

KERNEL_TEST("adamw_step in 16 bits: bounds, and no decay for who has none") {
  for (const DType moment : {DType::f32, DType::f16}) {
    AdamWSlot slot = slot_of(1000, DType::bf16, moment);
    slot.g = zeros({1000});
    slot.decays = false;
    slot.low = -0.25, slot.high = 0.5;
    Values want = values(slot.p);
    for (double& x : want) x = std::min(std::max(x, -0.25), 0.5);
    AdamWStep step = step_of(1, 1);
    step.stochastic = true;
    kernel::adamw_step(here, step, squares(0), {slot}, none);
    CHECK(values(slot.p) == want);
  }
}

}  // namespace diptych::test
