// autograd/op_table/conv.cpp — rows of the operator table: convolution.
#include <limits>

#include "autograd/op_table/parts.h"

namespace diptych::table {
namespace {

// Convolution the obvious way: every window copied out as a row ("im2col"), one product.
Tensor conv_by_unfolding(const Tensor& x, const Tensor& w, int64_t stride, int64_t padding) {
  const int64_t B = x.dim(0), H = x.dim(1), W = x.dim(2), C = x.dim(3);
  const int64_t O = w.dim(0), kh = w.dim(2), kw = w.dim(3), outside = B * H * W;
  const int64_t places_y = (H + 2 * padding - kh) / stride + 1,
                places_x = (W + 2 * padding - kw) / stride + 1;
  std::vector<int64_t> pixels;
  for (int64_t m = 0; m < B * places_y * places_x; ++m) {
    for (int64_t tap = 0; tap < kh * kw; ++tap) {
      const int64_t y = m / places_x % places_y * stride + tap / kw - padding;
      const int64_t column = m % places_x * stride + tap % kw - padding;
      const bool inside = y >= 0 && y < H && column >= 0 && column < W;
      pixels.push_back(inside ? (m / (places_x * places_y) * H + y) * W + column : outside);
    }
  }
  const Tensor with_zeros =
      cat({reshape(x, {outside, C}), zeros({1, C}, x.dtype(), x.device())}, 0);
  const Tensor windows = reshape(gather_rows(with_zeros, i64(pixels)), {-1, kh * kw * C});
  const Tensor kernel = reshape(transpose(transpose(w, 1, 2), 2, 3), {O, kh * kw * C});
  return reshape(linear(windows, kernel), {B, places_y, places_x, O});
}

struct ConvShape {
  const char* what;
  Shape x, w;
  int64_t stride, padding;
};
// The large ones are beyond every tile, panel and cut of a kernel, and no multiple of any.
const std::vector<ConvShape> kConvs = {
    {"3 x 3", {2, 5, 6, 3}, {4, 3, 3, 3}, 1, 1},
    {"no padding", {2, 5, 6, 3}, {4, 3, 3, 3}, 1, 0},
    {"wide padding", {1, 3, 4, 2}, {3, 2, 2, 2}, 1, 3},
    {"stride 2", {2, 7, 6, 3}, {4, 3, 3, 3}, 2, 1},
    {"stride 3, pixels left over", {1, 9, 10, 2}, {3, 2, 2, 2}, 3, 0},
    {"1 x 1, stride 2", {2, 4, 5, 3}, {4, 3, 1, 1}, 2, 0},
    {"2 x 3", {1, 5, 6, 2}, {3, 2, 2, 3}, 1, 1},
    {"as large as the picture", {2, 3, 4, 2}, {5, 2, 3, 4}, 1, 0},
    {"one of everything", {1, 1, 1, 1}, {1, 1, 1, 1}, 1, 1},
    {"many places", {2, 23, 19, 5}, {7, 5, 3, 3}, 1, 1},
    {"many channels", {1, 3, 3, 61}, {53, 61, 3, 3}, 1, 1},
    {"channels beyond a cut", {1, 2, 3, 401}, {5, 401, 2, 2}, 1, 1},
    {"channels out beyond a cut", {1, 2, 3, 5}, {401, 5, 2, 2}, 1, 1},
};

OpFunction convolved(int64_t stride, int64_t padding) {
  return [=](const Inputs& in) { return conv2d(in[0], in[1], stride, padding); };
}

}  // namespace

std::vector<OpCase> conv_rows() {
  std::vector<OpCase> rows;
  for (const ConvShape& c : kConvs) {
    rows.push_back(
        {"conv2d", c.what, convolved(c.stride, c.padding), normal({c.x, c.w}),
         [c](const Inputs& in) { return conv_by_unfolding(in[0], in[1], c.stride, c.padding); }});
  }
  rows.push_back({"conv2d", "1 x 1", convolved(1, 0), normal({{2, 3, 4, 5}, {6, 5, 1, 1}}),
                  [](const Inputs& in) { return conv_by_unfolding(in[0], in[1], 1, 0); }});
  rows.back().composed = true;
  rows[0].special = {{zeros({0, 4, 4, 2}, DType::f64), f64({}, {0, 2, 3, 3})},
                     {zeros({0, 4, 4, 2}, DType::f64), zeros({3, 2, 3, 3}, DType::f64)},
                     {f64({1, 2}, {1, 1, 2, 1}), f64({}, {0, 1, 3, 3})},
                     {zeros({1, 2, 2, 0}, DType::f64), zeros({3, 0, 3, 3}, DType::f64)},
                     {full({1, 2, 2, 1}, 1e4, DType::f64), full({1, 1, 3, 3}, -1e4, DType::f64)}};
  const auto bad = [&](const char* message, Tensor x, Tensor w, int64_t stride, int64_t padding) {
    rows[0].bad.push_back({message, [=] { return conv2d(x, w, stride, padding); }});
  };
  bad("conv2d: needs floating-point pictures (B, H, W, C), got f32 (2, 3)", zeros({2, 3}),
      zeros({1, 1, 1, 1}), 1, 0);
  bad("conv2d: x (1, 4, 4, 2) with 2 channels does not fit w (3, 4, 3, 3)", zeros({1, 4, 4, 2}),
      zeros({3, 4, 3, 3}), 1, 0);
  bad("conv2d: the kernel of w (1, 2, 3, 3) is larger than x (1, 4, 2, 2)", zeros({1, 4, 2, 2}),
      zeros({1, 2, 3, 3}), 1, 0);
  bad("conv2d: stride 0 and padding 1", zeros({1, 4, 4, 2}), zeros({1, 2, 3, 3}), 0, 1);
  bad("conv2d: stride 1 and padding 9223372036854775807", zeros({1, 4, 4, 2}), zeros({1, 2, 3, 3}),
      1, std::numeric_limits<int64_t>::max());
  bad("conv2d: stride 4294967296 and padding 1", zeros({1, 4, 4, 2}), zeros({1, 2, 3, 3}),
      int64_t{1} << 32, 1);
  bad("conv2d: needs operands of one dtype on one device, got f32 on cpu, f64 on cpu",
      zeros({1, 4, 4, 2}), zeros({1, 2, 3, 3}, DType::f64), 1, 1);
  return rows;
}

}  // namespace diptych::table
