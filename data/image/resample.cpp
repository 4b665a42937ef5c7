// data/image/resample.cpp — resampling as in Pillow (libImaging/Resample.c).
//
// Along one axis, output x has its centre at c = (x + 1/2) s in the input, s = input / output:
//   y[x] = Σ_i w((i + 1/2 - c) / max(s, 1)) in[i] / Σ_i w(…),   |i + 1/2 - c| ≤ S max(s, 1)
// with the weight w and the support S of the filter. Columns first, then rows, rounded after each.
#include "data/image/resample.h"

#include <algorithm>
#include <cmath>

namespace diptych {

namespace {

constexpr double kPi = 3.14159265358979323846;

// Keys (1981), a = -1/2: (a+2)|t|³ - (a+3)|t|² + 1 for |t| < 1, a|t|³ - 5a|t|² + 8a|t| - 4a for |t|
// < 2.
double cubic(double t) {
  constexpr double a = -0.5;
  t = std::fabs(t);
  if (t < 1.0) return ((a + 2.0) * t - (a + 3.0)) * t * t + 1;
  if (t < 2.0) return (((t - 5) * t + 8) * t - 4) * a;
  return 0.0;
}

double triangle(double t) { return std::max(0.0, 1.0 - std::fabs(t)); }

double box(double t) { return t > -0.5 && t <= 0.5 ? 1.0 : 0.0; }

double sinc(double t) { return t == 0.0 ? 1.0 : std::sin(t * kPi) / (t * kPi); }

// A sinc under a window: Hamming's, and the middle of a sinc three times as wide.
double hamming(double t) {
  return std::fabs(t) < 1.0 ? sinc(t) * (0.54f + 0.46f * std::cos(t * kPi)) : 0.0;
}
double lanczos(double t) { return -3.0 <= t && t < 3.0 ? sinc(t) * sinc(t / 3) : 0.0; }

}  // namespace

Filter filter_of(Interpolation interpolation) {
  switch (interpolation) {
    case Interpolation::lanczos:
      return {lanczos, 3.0};
    case Interpolation::bilinear:
      return {triangle, 1.0};
    case Interpolation::box:
      return {box, 0.5};
    case Interpolation::hamming:
      return {hamming, 1.0};
    default:
      return {cubic, 2.0};
  }
}

namespace {

// 8-bit samples: weights are integers in units of 2⁻²², rounded; the sum starts at one half and is
// clipped to 0 … 255 after each pass.
struct Narrow {
  using Sample = uint8_t;
  using Weight = int32_t;
  static constexpr int kBits = 22;
  static constexpr Weight kStart = 1 << (kBits - 1);
  static Weight weight(double w) {
    return static_cast<Weight>(w * (1 << kBits) + (w < 0 ? -0.5 : 0.5));
  }
  static Sample sample(Weight sum) { return static_cast<Sample>(std::clamp(sum >> kBits, 0, 255)); }
};

// Wide samples: sums in double, rounded half away from zero after each pass.
struct Wide {
  using Sample = int32_t;
  using Weight = double;
  static constexpr Weight kStart = 0;
  static Weight weight(double w) { return w; }
  static Sample sample(Weight sum) {
    return static_cast<Sample>(sum >= 0 ? std::floor(sum + 0.5) : -std::floor(0.5 - sum));
  }
};

// Outputs [begin, begin + count) of an axis: output k is Σ_i weights[k taps + i] in[first[k] + i].
template <class Kind>
struct Axis {
  int64_t count = 0, taps = 0;
  std::vector<int64_t> first, used;  // per output: first input, number of inputs ≤ taps
  std::vector<typename Kind::Weight> weights;
};

template <class Kind>
void fill_weights(const Filter& filter, double centre, double stretch, int64_t inputs, int64_t k,
                  Axis<Kind>& axis) {
  const double support = filter.support * stretch;
  const int64_t begin = std::max<int64_t>(0, static_cast<int64_t>(centre - support + 0.5));
  const int64_t end = std::min(inputs, static_cast<int64_t>(centre + support + 0.5));
  std::vector<double> w;
  double total = 0;
  for (int64_t i = begin; i < end; ++i) {
    w.push_back(filter.weight((static_cast<double>(i) - centre + 0.5) * (1.0 / stretch)));
    total += w.back();
  }
  axis.first[static_cast<size_t>(k)] = begin;
  axis.used[static_cast<size_t>(k)] = end - begin;
  for (size_t i = 0; i < w.size(); ++i)
    axis.weights[static_cast<size_t>(k * axis.taps) + i] =
        Kind::weight(total != 0 ? w[i] / total : w[i]);
}

template <class Kind>
Axis<Kind> make_axis(const Filter& filter, int64_t inputs, int64_t outputs, int64_t begin,
                     int64_t count) {
  const double scale = static_cast<double>(inputs) / static_cast<double>(outputs);
  const double stretch = std::max(scale, 1.0);
  Axis<Kind> axis;
  axis.count = count;
  axis.taps = static_cast<int64_t>(std::ceil(filter.support * stretch)) * 2 + 1;
  axis.first.resize(static_cast<size_t>(count));
  axis.used.resize(static_cast<size_t>(count));
  axis.weights.resize(static_cast<size_t>(count * axis.taps));
  for (int64_t k = 0; k < count; ++k)
    fill_weights(filter, (static_cast<double>(begin + k) + 0.5) * scale, stretch, inputs, k, axis);
  return axis;
}

// One run of outputs: y[j] = Σ_i weights[i] x[i · stride + j], rounded, j < n ≤ kRun.
constexpr int64_t kRun = 64;

template <class Kind>
inline void combine_run(const typename Kind::Sample* x, int64_t stride,
                        const typename Kind::Weight* weights, int64_t taps, int64_t n,
                        typename Kind::Sample* y) {
  typename Kind::Weight sums[kRun];
  for (int64_t j = 0; j < n; ++j) sums[j] = Kind::kStart;
  for (int64_t i = 0; i < taps; ++i)
    for (int64_t j = 0; j < n; ++j) sums[j] += weights[i] * x[i * stride + j];
  for (int64_t j = 0; j < n; ++j) y[j] = Kind::sample(sums[j]);
}

// Resamples an axis of lines: line k of y is a weighted sum of lines of x. The inner loop runs
// along the line, so it vectorises; with n constant the sums stay in registers.
template <class Kind>
void combine_lines(const Axis<Kind>& axis, const typename Kind::Sample* x, int64_t width,
                   typename Kind::Sample* y) {
  for (int64_t k = 0; k < axis.count; ++k) {
    const auto at = static_cast<size_t>(k);
    const auto* from = x + (axis.first[at] - axis.first[0]) * width;
    const auto* weights = axis.weights.data() + k * axis.taps;
    int64_t j = 0;
    for (; j + kRun <= width; j += kRun)
      combine_run<Kind>(from + j, width, weights, axis.used[at], kRun, y + k * width + j);
    combine_run<Kind>(from + j, width, weights, axis.used[at], width - j, y + k * width + j);
  }
}

// y (columns, rows) = x (rows, columns)ᵀ for pixels of N samples; rows of x are `stride` apart.
template <int N, class T>
void transpose_pixels(const T* x, int64_t stride, int64_t rows, int64_t columns, T* y) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c)
      for (int64_t i = 0; i < N; ++i) y[N * (c * rows + r) + i] = x[N * (r * stride + c) + i];
}

// The inputs that the outputs of an axis need.
struct Range {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

template <class Kind>
Range range_of(const Axis<Kind>& axis) {
  return {axis.first.front(), axis.first.back() + axis.used.back()};
}

// The horizontal pass over some rows, a strip at a time: with columns turned into lines it is the
// vertical pass, and the turned strip stays in the cache.
template <class Kind, int N, class T>
std::vector<T> resample_rows(const T* x, int64_t width, const Axis<Kind>& axis, Range rows) {
  constexpr int64_t kStrip = 64;
  const auto samples = [](int64_t pixels) { return static_cast<size_t>(N * pixels); };
  const Range columns = range_of(axis);
  std::vector<T> out(samples(rows.size() * axis.count));
  std::vector<T> turned(samples(kStrip * columns.size())), combined(samples(kStrip * axis.count));
  for (int64_t row = rows.begin; row < rows.end; row += kStrip) {
    const int64_t n = std::min(kStrip, rows.end - row);
    transpose_pixels<N>(x + N * (row * width + columns.begin), width, n, columns.size(),
                        turned.data());
    combine_lines(axis, turned.data(), N * n, combined.data());
    transpose_pixels<N>(combined.data(), n, axis.count, n,
                        out.data() + N * (row - rows.begin) * axis.count);
  }
  return out;
}

template <class Kind, int N, class T>
std::vector<T> resample_bands(const std::vector<T>& x, const Scaling& s, const Filter& filter) {
  const auto columns = make_axis<Kind>(filter, s.width, s.new_width, s.window.x, s.window.width);
  const auto rows = make_axis<Kind>(filter, s.height, s.new_height, s.window.y, s.window.height);
  const std::vector<T> narrow = resample_rows<Kind, N>(x.data(), s.width, columns, range_of(rows));
  std::vector<T> y(static_cast<size_t>(N * s.window.width * s.window.height));
  combine_lines(rows, narrow.data(), N * s.window.width, y.data());
  return y;
}

}  // namespace

std::vector<uint8_t> resample(const std::vector<uint8_t>& x, int64_t bands, const Scaling& s,
                              const Filter& filter) {
  switch (bands) {
    case 1:
      return resample_bands<Narrow, 1>(x, s, filter);
    case 2:
      return resample_bands<Narrow, 2>(x, s, filter);
    case 3:
      return resample_bands<Narrow, 3>(x, s, filter);
    default:
      return resample_bands<Narrow, 4>(x, s, filter);
  }
}

std::vector<int32_t> resample(const std::vector<int32_t>& x, const Scaling& s,
                              const Filter& filter) {
  return resample_bands<Wide, 1>(x, s, filter);
}

}  // namespace diptych
