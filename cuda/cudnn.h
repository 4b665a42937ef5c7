// cuda/cudnn.h — convolutions by cuDNN. Shapes as in tensor/kernels.h.
#pragma once

#include "tensor/kernels.h"

namespace diptych::cuda {

// Each queues its convolution: sums in f32, never TF32; the same bits on every run. False if cuDNN
// does not know how, as for f64; nothing is queued then.
bool cudnn_forward(const Tensor& x, const Tensor& w, const Window& window, Tensor& y);
bool cudnn_grad_input(const Tensor& g, const Tensor& w, const Window& window, Tensor& dx);
bool cudnn_grad_weight(const Tensor& x, const Tensor& g, const Window& window, Tensor& dw);

}  // namespace diptych::cuda
