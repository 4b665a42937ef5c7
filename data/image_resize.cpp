// data/image_resize.cpp — bicubic resize, bit for bit Pillow's (libImaging/Resample.c).
//
// Along one axis, output x has its centre at c = (x + 1/2) s in the input, s = input / output:
//   y[x] = Σ_i w((i + 1/2 - c) / max(s, 1)) in[i] / Σ_i w(…),   |i + 1/2 - c| ≤ 2 max(s, 1)
// with Keys' cubic for a = -1/2:
//   w(t) = (a+2)|t|³ - (a+3)|t|² + 1 for |t| < 1,  a|t|³ - 5a|t|² + 8a|t| - 4a for |t| < 2.
// Weights are integers in units of 2⁻²², rounded; the sum starts at one half and is clipped to
// 0 … 255 after each pass, rows first.
#include <algorithm>
#include <cmath>

#include "data/image.h"

namespace diptych {
namespace {

constexpr int kBits = 22;
constexpr int64_t kMaxPixels = int64_t{1} << 28;

double cubic(double t) {
  constexpr double a = -0.5;
  t = std::fabs(t);
  if (t < 1.0) return ((a + 2.0) * t - (a + 3.0)) * t * t + 1;
  if (t < 2.0) return (((t - 5) * t + 8) * t - 4) * a;
  return 0.0;
}

// Outputs [begin, begin + count) of an axis: output k is Σ_i weights[k · taps + i] in[first[k] +
// i].
struct Axis {
  int64_t count = 0, taps = 0;
  std::vector<int64_t> first, used;  // per output: first input, number of inputs ≤ taps
  std::vector<int32_t> weights;
};

int32_t to_fixed(double w) { return static_cast<int32_t>(w * (1 << kBits) + (w < 0 ? -0.5 : 0.5)); }

void fill_weights(double centre, double stretch, int64_t inputs, int64_t k, Axis& axis) {
  const double support = 2.0 * stretch;
  const int64_t begin = std::max<int64_t>(0, static_cast<int64_t>(centre - support + 0.5));
  const int64_t end = std::min(inputs, static_cast<int64_t>(centre + support + 0.5));
  std::vector<double> w;
  double total = 0;
  for (int64_t i = begin; i < end; ++i) {
    w.push_back(cubic((static_cast<double>(i) - centre + 0.5) * (1.0 / stretch)));
    total += w.back();
  }
  axis.first[static_cast<size_t>(k)] = begin;
  axis.used[static_cast<size_t>(k)] = end - begin;
  for (size_t i = 0; i < w.size(); ++i)
    axis.weights[static_cast<size_t>(k * axis.taps) + i] =
        to_fixed(total != 0 ? w[i] / total : w[i]);
}

Axis make_axis(int64_t inputs, int64_t outputs, int64_t begin, int64_t count) {
  const double scale = static_cast<double>(inputs) / static_cast<double>(outputs);
  const double stretch = std::max(scale, 1.0);
  Axis axis;
  axis.count = count;
  axis.taps = static_cast<int64_t>(std::ceil(2.0 * stretch)) * 2 + 1;
  axis.first.resize(static_cast<size_t>(count));
  axis.used.resize(static_cast<size_t>(count));
  axis.weights.resize(static_cast<size_t>(count * axis.taps));
  for (int64_t k = 0; k < count; ++k)
    fill_weights((static_cast<double>(begin + k) + 0.5) * scale, stretch, inputs, k, axis);
  return axis;
}

// One run of outputs: y[j] = clip((1/2 + Σ_i weights[i] x[i · stride + j]) / 2²²), j < n ≤ kRun.
constexpr int64_t kRun = 64;

inline void combine_run(const uint8_t* x, int64_t stride, const int32_t* weights, int64_t taps,
                        int64_t n, uint8_t* y) {
  int32_t sums[kRun];
  for (int64_t j = 0; j < n; ++j) sums[j] = 1 << (kBits - 1);
  for (int64_t i = 0; i < taps; ++i)
    for (int64_t j = 0; j < n; ++j) sums[j] += weights[i] * x[i * stride + j];
  for (int64_t j = 0; j < n; ++j) y[j] = static_cast<uint8_t>(std::clamp(sums[j] >> kBits, 0, 255));
}

// Resamples an axis of lines: line k of y is a weighted sum of lines of x. The inner loop runs
// along the line, so it vectorises; with n constant the sums stay in registers.
void combine_lines(const Axis& axis, const uint8_t* x, int64_t width, uint8_t* y) {
  for (int64_t k = 0; k < axis.count; ++k) {
    const auto at = static_cast<size_t>(k);
    const uint8_t* from = x + (axis.first[at] - axis.first[0]) * width;
    const int32_t* weights = axis.weights.data() + k * axis.taps;
    int64_t j = 0;
    for (; j + kRun <= width; j += kRun)
      combine_run(from + j, width, weights, axis.used[at], kRun, y + k * width + j);
    combine_run(from + j, width, weights, axis.used[at], width - j, y + k * width + j);
  }
}

// y (columns, rows) = x (rows, columns)ᵀ for pixels of three bytes; rows of x are `stride` apart.
void transpose_pixels(const uint8_t* x, int64_t stride, int64_t rows, int64_t columns, uint8_t* y) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c)
      for (int64_t i = 0; i < 3; ++i) y[3 * (c * rows + r) + i] = x[3 * (r * stride + c) + i];
}

// The inputs that the outputs of an axis need.
struct Range {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

Range range_of(const Axis& axis) {
  return {axis.first.front(), axis.first.back() + axis.used.back()};
}

// The horizontal pass over some rows, a strip at a time: with columns turned into lines it is the
// vertical pass, and the turned strip stays in the cache.
std::vector<uint8_t> resize_rows(const Image& image, const Axis& axis, Range rows) {
  constexpr int64_t kStrip = 64;
  const auto bytes = [](int64_t pixels) { return static_cast<size_t>(3 * pixels); };
  const Range columns = range_of(axis);
  std::vector<uint8_t> out(bytes(rows.size() * axis.count));
  std::vector<uint8_t> turned(bytes(kStrip * columns.size())), combined(bytes(kStrip * axis.count));
  for (int64_t row = rows.begin; row < rows.end; row += kStrip) {
    const int64_t n = std::min(kStrip, rows.end - row);
    transpose_pixels(image.rgb.data() + 3 * (row * image.width + columns.begin), image.width, n,
                     columns.size(), turned.data());
    combine_lines(axis, turned.data(), 3 * n, combined.data());
    transpose_pixels(combined.data(), n, axis.count, n,
                     out.data() + 3 * (row - rows.begin) * axis.count);
  }
  return out;
}

void check_window(const Image& image, int64_t width, int64_t height, const Box& window) {
  check(image.width > 0 && image.height > 0 &&
            static_cast<int64_t>(image.rgb.size()) == 3 * image.width * image.height,
        "resize: ", image.width, " x ", image.height, " pixels with ", image.rgb.size(), " bytes");
  check(width > 0 && height > 0 && window.width > 0 && window.height > 0 && window.x >= 0 &&
            window.y >= 0 && window.x <= width - window.width && window.y <= height - window.height,
        "resize: window ", window.width, " x ", window.height, " at (", window.x, ", ", window.y,
        ") does not fit ", width, " x ", height);
  check(window.width <= kMaxPixels / window.height, "resize: ", image.width, " x ", image.height,
        " to ", width, " x ", height, " gives more than ", kMaxPixels, " pixels");
}

}  // namespace

Image resize_bicubic(const Image& image, int64_t width, int64_t height, const Box& window) {
  check_window(image, width, height, window);
  if (width == image.width && height == image.height) return crop(image, window);
  const Axis columns = make_axis(image.width, width, window.x, window.width);
  const Axis rows = make_axis(image.height, height, window.y, window.height);
  const std::vector<uint8_t> narrow = resize_rows(image, columns, range_of(rows));
  Image out{window.width, window.height,
            std::vector<uint8_t>(static_cast<size_t>(3 * window.width * window.height))};
  combine_lines(rows, narrow.data(), 3 * window.width, out.rgb.data());
  return out;
}

Image resize_bicubic(const Image& image, int64_t width, int64_t height) {
  return resize_bicubic(image, width, height, {0, 0, width, height});
}

}  // namespace diptych
