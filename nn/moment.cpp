// nn/moment.cpp — making and converting moments.
#include "nn/moment.h"

#include <algorithm>

#include "autograd/operands.h"
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

// Of a file: nothing is known of them but that they are tensors.
void check_scales(const std::string& name, const Moment& moment) {
  const bool half = moment.values.dtype() == DType::f16;
  check(moment.scale.defined() == half, "optimizer: ", name, " in ", moment.values.dtype(),
        half ? " has no scales" : " has scales, which only f16 needs");
  if (!half) return;
  const Tensor& scale = moment.scale;
  const bool of_rows = moment.values.rank() > 0 && scale.numel() == moment.values.dim(0);
  check(scale.rank() == 1 && (scale.numel() == 1 || of_rows), "optimizer: ", name, ' ',
        moment.values.shape(), " has scales ", scale.shape(),
        "; it needs one, or one for each row");
  const std::vector<double> values = scale.to_vector<double>();
  check(std::all_of(values.begin(), values.end(), [](double s) { return s >= 0; }),
        "optimizer: a scale of ", name, " is negative or NaN");
}

}  // namespace

Moment zero_moment(const Tensor& parameter, bool half, bool rows) {
  if (!half) return {zeros(parameter.shape(), statistics_dtype(parameter), parameter.device())};
  const int64_t R = rows ? parameter.dim(0) : 1;
  return {zeros(parameter.shape(), DType::f16).to(parameter.device()),
          zeros({R}).to(parameter.device())};
}

void assign(const std::string& name, const Moment& from, Moment& to) {
  check(from.values.shape() == to.values.shape(), "optimizer: ", name, " is ", from.values.shape(),
        ", its parameter ", to.values.shape());
  check_scales(name, from);
  const bool alike = from.values.dtype() == to.values.dtype() &&
                     (!to.scale.defined() || from.scale.shape() == to.scale.shape());
  const NoGrad no_grad;
  if (alike && to.scale.defined()) to.scale.copy_(from.scale);
  if (alike) return to.values.copy_(from.values);
  const Tensor values = widened(from).to(to.values.device());
  to.scale.defined() ? narrow(values, to) : to.values.copy_(values);
}

}  // namespace diptych::nn
