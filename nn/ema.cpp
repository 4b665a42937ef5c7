// nn/ema.cpp — averages beside parameters.
#include "nn/ema.h"

#include <algorithm>

#include "autograd/operands.h"
#include "autograd/ops.h"

namespace diptych::nn {

Ema::Ema(const Module& module, double decay) : module_(module), decay_(decay) {
  check(0 <= decay && decay < 1, "ema: a decay of ", decay, " is not in [0, 1)");
  for (const Module::Entry& entry : module.state())
    pairs_.push_back({entry, entry.trained ? entry.tensor.to(statistics_dtype(entry.tensor)).clone()
                                           : Tensor()});
}

void Ema::update(int64_t t) {
  const NoGrad no_grad;
  const auto step = static_cast<double>(t);
  const double d = std::min(decay_, (1 + step) / (10 + step));
  for (Pair& pair : pairs_) {
    if (!pair.average.defined()) continue;
    const Tensor p = pair.entry.tensor.detach().to(pair.average.dtype());
    pair.average.copy_(pair.average * d + p * (1 - d));
  }
}

std::vector<NamedTensor> Ema::state() const {
  std::vector<NamedTensor> values;
  for (const Pair& pair : pairs_)
    values.push_back(
        {pair.entry.name, pair.average.defined() ? pair.average : pair.entry.tensor.detach()});
  return values;
}

void Ema::load_state(const std::vector<NamedTensor>& values) {
  module_.check_state(values);
  for (Pair& pair : pairs_) {
    if (!pair.average.defined()) continue;
    const auto it = std::find_if(values.begin(), values.end(), [&](const NamedTensor& value) {
      return value.name == pair.entry.name;
    });
    pair.average.copy_(it->tensor);
  }
}

void Ema::lend() {
  for (Pair& pair : pairs_) {
    if (!pair.average.defined()) continue;
    pair.own = pair.entry.tensor.detach().clone();
    pair.entry.tensor.copy_(pair.average);
  }
}

void Ema::take_back() {
  for (Pair& pair : pairs_) {
    if (!pair.average.defined()) continue;
    pair.entry.tensor.copy_(pair.own);
    pair.own = {};
  }
}

}  // namespace diptych::nn
