// nn/moment.cpp — making and converting moments.
#include "nn/moment.h"

#include "autograd/ops.h"
#include "tensor/adamw.h"

namespace diptych::nn {
namespace {

// (R, n / R) of f32.
Tensor groups(const Tensor& values, int64_t count) {
  return values.to(DType::f32).view({count, values.numel() / count});
}

Tensor widened(const Moment& moment) {
  if (!moment.scale.defined()) return moment.values;
  const Tensor scale = moment.scale.view({moment.scale.numel(), 1});
  return (groups(moment.values, scale.dim(0)) * scale).view(moment.values.shape());
}

// The scales of AdamW's step: see moment_scale().
void narrow(const Tensor& values, Moment& to) {
  const Tensor rows = groups(values, to.scale.numel());
  const Tensor scale = max(abs(rows), 1) / 65504.0 + 1e-8;
  to.scale.copy_(scale);
  to.values.copy_((rows / scale.view({scale.numel(), 1})).view(to.values.shape()));
}

}  // namespace

Moment zero_moment(const Tensor& parameter, bool half, bool rows) {
  if (!half) {
    const DType dtype = parameter.dtype() == DType::f64 ? DType::f64 : DType::f32;
    return {zeros(parameter.shape(), dtype).to(parameter.device())};
  }
  const int64_t R = rows ? parameter.dim(0) : 1;
  return {zeros(parameter.shape(), DType::f16).to(parameter.device()),
          zeros({R}).to(parameter.device())};
}

void assign(const Moment& from, Moment& to) {
  check(from.values.shape() == to.values.shape(), "optimizer: a moment is ", from.values.shape(),
        ", its parameter ", to.values.shape());
  check(from.values.dtype() != DType::f16 || from.scale.defined(),
        "optimizer: a moment in f16 has no scales");
  const bool alike = from.values.dtype() == to.values.dtype() &&
                     (!to.scale.defined() || from.scale.shape() == to.scale.shape());
  const NoGrad no_grad;
  if (alike && to.scale.defined()) to.scale.copy_(from.scale);
  if (alike) return to.values.copy_(from.values);
  const Tensor values = widened(from).to(to.values.device());
  to.scale.defined() ? narrow(values, to) : to.values.copy_(values);
}

}  // namespace diptych::nn
