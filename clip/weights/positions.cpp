// clip/weights/positions.cpp — bicubic interpolation as two matrix products.
#include "clip/weights/positions.h"

#include <cmath>

#include "autograd/ops.h"
#include "data/image/resample.h"

namespace diptych {
namespace {

/// (out, in): what each output takes from each input. Shrinking widens the kernel by the same
/// factor.
Tensor resampling(int64_t in, int64_t out) {
  const auto cubic = filter_of(Interpolation::bicubic).weight;
  std::vector<double> weights;
  const double step = static_cast<double>(in) / static_cast<double>(out),
               width = std::max(step, 1.0);
  for (int64_t i = 0; i < out; ++i) {
    const double center = step * (static_cast<double>(i) + 0.5);
    std::vector<double> row;
    double total = 0;
    for (int64_t j = 0; j < in; ++j) {
      row.push_back(cubic((static_cast<double>(j) + 0.5 - center) / width));
      total += row.back();
    }
    for (const double w : row) weights.push_back(w / total);
  }
  return from_vector(weights, {out, in});
}

}  // namespace

Tensor resize_positions(const Tensor& positions, int64_t side) {
  const int64_t cells = positions.dim(0) - 1, D = positions.dim(1);
  const auto old = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(cells))));
  check(side > 0 && old > 0 && old * old == cells, "positions: ", positions.shape(),
        " is no square grid and one token; cannot be resized to ", side, " x ", side);
  const NoGrad no_grad;
  const Tensor all = positions.to(DType::f64), weights = resampling(old, side);
  const Tensor grid = reshape(slice(all, 0, 1, cells + 1), {old, old * D});
  const Tensor rows = reshape(matmul(weights, grid), {side, old, D});       // down
  const Tensor resized = reshape(matmul(weights, rows), {side * side, D});  // across, each row
  return cat({slice(all, 0, 0, 1), resized}, 0).to(positions.dtype());
}

}  // namespace diptych
