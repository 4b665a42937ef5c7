// autograd/ops/conv.cpp — convolution of pictures with channels last.
#include "autograd/operands.h"
#include "autograd/ops.h"
#include "tensor/kernels.h"

namespace diptych {
namespace {

void check_conv(const Tensor& x, const Tensor& w, const Window& window) {
  check_picture("conv2d", x);
  check(w.rank() == 4 && w.dim(1) == x.dim(3), "conv2d: x ", x.shape(), " with ", x.dim(3),
        " channels does not fit w ", w.shape(), " (O, C, kh, kw)");
  check_alike("conv2d", {x, w});
  check(window.in_range(), "conv2d: stride ", window.stride, " and padding ", window.padding,
        "; they must be at least 1 and 0, and at most ", Window::kMost);
  check(w.dim(2) >= 1 && w.dim(3) >= 1 && w.dim(2) <= x.dim(1) + 2 * window.padding &&
            w.dim(3) <= x.dim(2) + 2 * window.padding,
        "conv2d: the kernel of w ", w.shape(), " is larger than x ", x.shape(), " with padding ",
        window.padding);
}

// Each pixel by itself: a product of rows.
Tensor pointwise(const Tensor& x, const Tensor& w) {
  return linear(x, reshape(w, {w.dim(0), w.dim(1)}));
}

// (O, C, kh, kw) ↔ (O, kh, kw, C)
Tensor channels_last(const Tensor& w) { return w.transpose(1, 2).transpose(2, 3).contiguous(); }
Tensor channels_first(const Tensor& w) { return w.transpose(2, 3).transpose(1, 2).contiguous(); }

}  // namespace

Tensor conv2d(const Tensor& x, const Tensor& w, int64_t stride, int64_t padding) {
  const Window window{stride, padding};
  check_conv(x, w, window);
  if (w.dim(2) == 1 && w.dim(3) == 1 && stride == 1 && padding == 0) return pointwise(x, w);
  const Tensor in = x.contiguous(), kernel = channels_last(w);
  Tensor y = empty(
      {x.dim(0), window.places(x.dim(1), w.dim(2)), window.places(x.dim(2), w.dim(3)), w.dim(0)},
      x.dtype(), x.device());
  kernel::conv2d(x.device(), in, kernel, window, y);

  const bool dx = needs_grad(x), dw = needs_grad(w);
  return record("conv2d", y, {x, w},
                [window, from = x.shape(), shape = kernel.shape(), in = dw ? Saved(in) : Saved(),
                 kernel = dx ? Saved(kernel) : Saved()](const Tensor& g) -> Grads {
                  Grads grads(2);
                  if (kernel.get().defined()) {
                    grads[0] = empty(from, g.dtype(), g.device());
                    kernel::conv2d_grad_input(g.device(), g, kernel.get(), window, grads[0]);
                  }
                  if (in.get().defined()) {
                    Tensor dkernel = empty(shape, g.dtype(), g.device());
                    kernel::conv2d_grad_weight(g.device(), in.get(), g, window, dkernel);
                    grads[1] = channels_first(dkernel);
                  }
                  return grads;
                });
}

}  // namespace diptych
