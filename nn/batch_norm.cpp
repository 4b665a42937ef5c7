// nn/batch_norm.cpp — batch normalisation and its running statistics.
#include "nn/layers.h"

namespace diptych::nn {

BatchNorm2d::BatchNorm2d(int64_t width, Init gain)
    : weight(parameter("weight", {width}, gain)),
      bias(parameter("bias", {width}, Init::constant(0))),
      running_mean(buffer("running_mean", {width}, 0)),
      running_var(buffer("running_var", {width}, 1)),
      num_batches_tracked(buffer("num_batches_tracked", {}, 0, DType::i64)) {}

Tensor BatchNorm2d::operator()(const Tensor& x, bool relu) const {
  if (!training()) return batch_norm(x, weight, bias, running_mean, running_var, eps, relu);
  const BatchNormed out = batch_norm(x, weight, bias, eps, relu);
  // A block that is recomputed runs twice; the batch counts once.
  if (!recomputing()) follow(out, x.numel() / x.dim(-1));
  return out.y;
}

void BatchNorm2d::follow(const BatchNormed& batch, int64_t count) const {
  const NoGrad no_grad;
  const double N = static_cast<double>(count), unbiased = N / (N - 1);
  const auto step = [this](Tensor running, const Tensor& value) {
    running.copy_(running * (1 - momentum) + value * momentum);
  };
  step(running_mean, batch.mean);
  step(running_var, batch.var * unbiased);
  Tensor count_of_batches = num_batches_tracked;
  count_of_batches.fill_(num_batches_tracked.item() + 1);
}

}  // namespace diptych::nn
