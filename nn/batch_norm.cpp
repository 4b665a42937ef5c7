// nn/batch_norm.cpp — batch normalisation and its running statistics.
#include "nn/layers.h"
#include "tensor/kernels.h"

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

void BatchNorm2d::follow(const BatchNormed& batch, int64_t rows) const {
  Tensor mean = running_mean, var = running_var, count = num_batches_tracked;
  kernel::track_moments(mean.device(), batch.mean, batch.var, rows, momentum, mean, var, count);
  for (const Tensor& changed : {mean, var, count}) changed.bump_version();
}

}  // namespace diptych::nn
