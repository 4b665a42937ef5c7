// examples/07_half_precision.cpp — what 16 bits forget, and what makes up for it.
#include <bit>
#include <cmath>
#include <iostream>

#include "nn/grad_scaler.h"
#include "nn/moment.h"
#include "tensor/factory.h"
#include "tensor/half.h"
#include "tensor/rounding.h"

using namespace diptych;

namespace {

constexpr int kUpdates = 400, kWeights = 1000;
constexpr float kUpdate = 0x1p-12f;

// Prints numbers, and knows whether all were what they should be.
struct Facts {
  bool hold = true;
  void operator()(const char* what, double got, double expected, double tolerance = 0) {
    const bool ok = got == expected || std::fabs(got - expected) <= tolerance;
    std::cout << "  " << what << ": " << got << (ok ? "\n" : ", which is wrong\n");
    hold = hold && ok;
  }
};

// A weight of 1 after all updates, kept in T.
template <class T>
double nearest() {
  T weight(1);
  for (int i = 0; i < kUpdates; ++i) weight = T(weight + kUpdate);
  return weight;
}

// The same in bf16, up or down by chance; every stream has other random numbers.
double by_chance(uint64_t stream) {
  bf16 weight(1);
  for (int i = 0; i < kUpdates; ++i) {
    const float next = weight + kUpdate;
    round_stochastic(/*seed=*/0, stream, i, &next, 1, &weight);
  }
  return weight;
}

void updates(Facts& fact) {
  std::cout << "400 updates of 2^-12 to a weight of 1, above which a step of bf16 is 2^-7:\n";
  fact("f32", nearest<float>(), 1 + kUpdates / 4096.0);
  fact("bf16, to nearest", nearest<bf16>(), 1);
  double sum = 0, squares = 0;
  for (uint64_t i = 0; i < kWeights; ++i) {
    const double weight = by_chance(i);
    sum += weight;
    squares += weight * weight;
  }
  const double mean = sum / kWeights, spread = std::sqrt(squares / kWeights - mean * mean);
  fact("bf16, up by chance 1/32: mean of 1000 weights", mean, 1 + kUpdates / 4096.0, 0.003);
  fact("... and their spread", spread, std::sqrt(kUpdates / 32.0 * 31 / 32) / 128, 0.003);
}

// Of 2^-10, 2^-11, …, 2^-40, each times `scale`, how many are 0 in that type.
double vanished(DType dtype, double scale) {
  int count = 0;
  for (int e = 10; e <= 40; ++e) count += full({}, scale * std::exp2(-e), dtype).item() == 0;
  return count;
}

void gradients(Facts& fact) {
  std::cout << "\nGradients of the 31 magnitudes 2^-10 to 2^-40; how many become 0:\n";
  nn::GradScaler scaler;
  fact("f16, whose smallest number is 2^-24", vanished(DType::f16, 1), 16);
  fact("bf16, with the exponents of f32", vanished(DType::bf16, 1), 0);
  fact("f16, the loss times 2^16", vanished(DType::f16, scaler.scale), 0);
  fact("largest f16", std::bit_cast<f16>(uint16_t{0x7bff}), 65504);
  fact("largest bf16", std::bit_cast<bf16>(uint16_t{0x7f7f}), 0x1.fep127);
  fact("a gradient of 1, times 2^16, in f16", full({}, scaler.scale, DType::f16).item(), HUGE_VAL);
  scaler.update(/*finite=*/false);
  fact("... times the scale after that", full({}, scaler.scale, DType::f16).item(), 32768);
}

void moments(Facts& fact) {
  const float eps = 1e-8f, g = 3e-5f, m = f16(g), v = f16(g * g);
  nn::Moment kept = nn::zero_moment(full({}, 1), /*half=*/true, /*rows=*/false);
  nn::assign("v", {full({}, g * g)}, kept);
  const double scaled = kept.values.item() * kept.scale.item();
  std::cout << "\nAdamW moves a weight by its rate times m / (sqrt(v) + eps), which is about 1.\n"
            << "Of gradients that are all 3e-5, m is 3e-5 and v 9e-10:\n";
  fact("v in f16", v, 0);
  fact("eps = 1e-8 in f16", f16(eps), 0);
  fact("so the move, if all were f16", m / f16(std::sqrt(v) + f16(eps)), HUGE_VAL);
  fact("... and if the moments alone were", m / (std::sqrt(v) + eps), 3000, 3);
  fact("v in f16 with a scale", scaled, 9e-10, 1e-12);
  fact("so the move", m / (std::sqrt(scaled) + eps), 1, 0.002);
}

}  // namespace

int main() {
  Facts fact;
  for (const auto part : {updates, gradients, moments}) part(fact);
  return fact.hold ? 0 : 1;
}
