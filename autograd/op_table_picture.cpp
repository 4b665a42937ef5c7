// autograd/op_table_picture.cpp — rows of the operator table: convolution, pooling, batch norm.
#include "autograd/op_table_parts.h"

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
  bad("conv2d: x is f32 on cpu, w f64 on cpu", zeros({1, 4, 4, 2}), zeros({1, 2, 3, 3}, DType::f64),
      1, 1);
  return rows;
}

// (B, H, W, C) → (B, H/k, k, W/k, k, C), and means over the squares.
Tensor pool_by_means(const Tensor& x, int64_t k) {
  const Tensor squares = reshape(x, {x.dim(0), x.dim(1) / k, k, x.dim(2) / k, k, x.dim(3)});
  return mean(mean(squares, 4), 2);
}

OpCase pool_row(const char* what, Shape x, int64_t k) {
  return {"avg_pool", what, [k](const Inputs& in) { return avg_pool(in[0], k); }, normal({x}),
          [k](const Inputs& in) { return pool_by_means(in[0], k); }};
}

std::vector<OpCase> pool_rows() {
  std::vector<OpCase> rows = {
      pool_row("2 x 2", {2, 4, 6, 3}, 2), pool_row("3 x 3", {1, 3, 6, 5}, 3),
      pool_row("1 x 1", {2, 3, 2, 4}, 1), pool_row("wide", {2, 8, 10, 67}, 2)};
  rows[0].special = {{f64({}, {0, 2, 2, 3})},
                     {f64({}, {1, 2, 2, 0})},
                     {f64({}, {1, 0, 2, 3})},
                     {full({1, 2, 2, 1}, 1e4, DType::f64)}};
  rows[0].bad = {{"avg_pool: squares of 2 must divide the sides of x (1, 3, 4, 1)",
                  [] {
                    return avg_pool(zeros({1, 3, 4, 1}), 2);
                  }},
                 {"avg_pool: squares of 0 must divide", [] {
                    return avg_pool(zeros({1, 2, 2, 1}), 0);
                  }}};
  return rows;
}

Tensor scaled(const Tensor& x, const Inputs& in, const Tensor& mean, const Tensor& var, double eps,
              bool rectify) {
  const Tensor y = (x - mean) / sqrt(var + eps) * in[1] + in[2];
  return rectify ? relu(y) : y;
}

OpFunction normed(double eps, bool relu) {
  return [=](const Inputs& in) { return batch_norm(in[0], in[1], in[2], eps, relu).y; };
}

OpFunction normed_by_means(double eps, bool relu) {
  return [=](const Inputs& in) {
    const Tensor x = reshape(in[0], {-1, in[0].dim(-1)}), center = mean(x, 0);
    return reshape(scaled(x, in, center, mean(square(x - center), 0), eps, relu), in[0].shape());
  };
}

// Given moments, which count as constants.
Inputs moments_of(const Tensor& x) {
  const DType dtype = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
  std::vector<double> mean, var;
  for (int64_t j = 0; j < x.dim(-1); ++j) {
    mean.push_back(0.3 * static_cast<double>(j) - 0.5);
    var.push_back(0.5 + 0.25 * static_cast<double>(j));
  }
  const Shape D{x.dim(-1)};
  return {from_vector(mean, D).to(dtype).to(x.device()),
          from_vector(var, D).to(dtype).to(x.device())};
}

OpCase given_moments(const char* what, Shape x, bool relu) {
  const Shape D{x.back()};
  return {"batch_norm", what,
          [relu](const Inputs& in) {
            const Inputs m = moments_of(in[0]);
            return batch_norm(in[0], in[1], in[2], m[0], m[1], 1e-5, relu);
          },
          normal({x, D, D}),
          [relu](const Inputs& in) {
            const Inputs m = moments_of(in[0]);
            return scaled(in[0], in, m[0].to(in[0].dtype()), m[1].to(in[0].dtype()), 1e-5, relu);
          }};
}

std::vector<OpCase> batch_norm_rows() {
  const auto row = [](const char* what, Shape x, double eps, bool relu) -> OpCase {
    const Shape D{x.back()};
    return {"batch_norm", what, normed(eps, relu), normal({x, D, D}), normed_by_means(eps, relu)};
  };
  std::vector<OpCase> rows = {row("rows", {7, 5}, 1e-5, false),
                              row("pictures", {2, 3, 4, 5}, 1e-5, false),
                              row("relu", {7, 5}, 1e-5, true),
                              row("large eps", {3, 4}, 0.5, false),
                              row("beyond a chunk", {307, 5}, 1e-5, true),
                              row("beyond a band", {9, 267}, 1e-5, true),
                              given_moments("given moments", {7, 5}, false),
                              given_moments("given moments, relu", {3, 4, 5}, true)};
  const Tensor one = f64({1, 1}, {2}), shift = f64({0.5, -1}, {2});
  rows[0].special = {{f64({2, 2, 2, 2}, {2, 2}), one, shift},  // no variance
                     {f64({1e4, 1, -1e4, 1}, {2, 2}), one, shift}};
  rows[0].bad = {
      {"batch_norm: x (1, 3) has one value per column",
       [] {
         return batch_norm(zeros({1, 3}), zeros({3}), zeros({3})).y;
       }},
      {"batch_norm: x (2, 3) needs weight and bias (3), got (2) and (3)",
       [] {
         return batch_norm(zeros({2, 3}), zeros({2}), zeros({3})).y;
       }},
      {"batch_norm: x is f32 on cpu, weight f64",
       [] {
         return batch_norm(zeros({2, 3}), zeros({3}, DType::f64), zeros({3})).y;
       }},
      {"batch_norm: needs mean and variance f32 (3) beside x, got f32 (2)", [] {
         return batch_norm(zeros({2, 3}), zeros({3}), zeros({3}), zeros({2}), zeros({3}));
       }}};
  return rows;
}

}  // namespace

std::vector<OpCase> picture_rows() {
  std::vector<OpCase> rows = conv_rows();
  append(rows, pool_rows());
  append(rows, batch_norm_rows());
  return rows;
}

}  // namespace diptych::table
