// nn/layers.h — the small layers: Linear, LayerNorm, Embedding, Conv2d, BatchNorm2d.
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
  Linear(int64_t inputs, int64_t outputs)
      : Linear(inputs, outputs, {Init::fan_in(inputs), Init::fan_in(inputs)}) {}
  Linear(int64_t inputs, int64_t outputs, Options init)
      : weight(parameter("weight", {outputs, inputs}, init.weight)),
        bias(parameter("bias", {outputs}, init.bias)) {}
  Tensor operator()(const Tensor& x, const Tensor& residual = {}) const {
    return linear(x, in(weight), in(bias), residual);
  }
  /// The same of f(x), which is computed again for the backward pass; f as for linear_of.
  template <class F>
  Tensor of(const F& f, const Tensor& x, const Tensor& residual = {}) const {
    return linear_of(f, x, in(weight), in(bias), residual);
  }
  /// f(y)
  Tensor then(Unary f, const Tensor& x) const { return linear_then(f, x, in(weight), in(bias)); }

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
  /// The same as a function that may outlive the layer, for linear_of.
  std::function<Tensor(const Tensor&)> function() const {
    return [w = weight, b = bias, e = eps](const Tensor& x) { return layer_norm(x, w, b, e); };
  }

  double eps;
  Tensor weight, bias;  // (width)
};

/// Convolution without bias, drawn as PyTorch's nn.Conv2d.  x (B, H, W, in) → (B, H', W', out)
struct Conv2d : Module {
  Conv2d(int64_t inputs, int64_t outputs, int64_t kernel, int64_t stride_ = 1, int64_t padding_ = 0)
      : stride(stride_),
        padding(padding_),
        weight(
            parameter("weight", {outputs, inputs, kernel, kernel}, Init::fan_in(inputs, kernel))) {}
  Tensor operator()(const Tensor& x) const { return conv2d(x, in(weight), stride, padding); }

  /// Of the pictures that it takes.
  DType dtype() const { return compute_dtype(weight); }

  int64_t stride, padding;
  Tensor weight;  // (out, in, kernel, kernel)
};

/// Batch normalisation (Ioffe and Szegedy, 2015), optionally with a ReLU behind it.  x (…, width).
/// Training normalises by the batch and lets the running statistics follow:
///   running ← (1 - momentum) running + momentum batch,  the batch's variance unbiased.
/// Evaluation normalises by the running statistics.
struct BatchNorm2d : Module {
  explicit BatchNorm2d(int64_t width, Init gain = Init::constant(1));
  Tensor operator()(const Tensor& x, bool relu = false) const;

  double eps = 1e-5, momentum = 0.1;
  Tensor weight, bias;               // (width)
  Tensor running_mean, running_var;  // (width), at least f32
  Tensor num_batches_tracked;        // () i64, on the host

 private:
  void follow(const BatchNormed& batch, int64_t rows) const;
};

/// A table of vectors.  ids i64 (N) → (N, width)
struct Embedding : Module {
  Embedding(int64_t count, int64_t width, Init init)
      : weight(table("weight", {count, width}, init)) {}
  Tensor operator()(const Tensor& ids) const {
    return gather_rows(weight, ids, compute_dtype(weight));
  }

  Tensor weight;  // (count, width)
};

}  // namespace diptych::nn
