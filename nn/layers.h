// nn/layers.h — the small layers: Linear, LayerNorm, Embedding.
#pragma once

#include "autograd/ops.h"
#include "nn/module.h"

namespace diptych::nn {

/// y = x weightᵀ + bias.  x (…, in) → (…, out)
struct Linear : Module {
  struct Options {
    Init weight, bias;
  };
  /// Drawn as PyTorch's nn.Linear.
  Linear(int64_t in, int64_t out) : Linear(in, out, {Init::fan_in(in), Init::fan_in(in)}) {}
  Linear(int64_t in, int64_t out, Options init)
      : weight(parameter("weight", {out, in}, init.weight)),
        bias(parameter("bias", {out}, init.bias)) {}
  Tensor operator()(const Tensor& x) const { return linear(x, weight, bias); }

  Tensor weight;  // (out, in)
  Tensor bias;    // (out)
};

/// Normalises the last axis, then scales and shifts.  x (…, width)
struct LayerNorm : Module {
  explicit LayerNorm(int64_t width, double epsilon)
      : eps(epsilon),
        weight(parameter("weight", {width}, Init::constant(1))),
        bias(parameter("bias", {width}, Init::constant(0))) {}
  Tensor operator()(const Tensor& x) const { return layer_norm(x, weight, bias, eps); }

  double eps;
  Tensor weight, bias;  // (width)
};

/// A table of vectors.  ids i64 (N) → (N, width)
struct Embedding : Module {
  Embedding(int64_t count, int64_t width, Init init)
      : weight(parameter("weight", {count, width}, init)) {}
  Tensor operator()(const Tensor& ids) const { return gather_rows(weight, ids); }

  Tensor weight;  // (count, width)
};

}  // namespace diptych::nn
